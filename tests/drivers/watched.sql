-- psql: what is watched is shown again and again, until it fails; then the script goes on.
SELECT v FROM watched \watch 0.01
\echo over
SELECT v FROM kept \watch 0.01
