-- One of a crowd: moves money between two accounts, and watches the total and its own last write. What it sees wrong ends it.
\set low random(1, 49)
\set high random(:low + 1, 50)
\set amount random(-100, 100)
SELECT sum(balance) AS total FROM account \gset
\if :total <> 5000
SELECT :total / 0;
\endif
BEGIN;
UPDATE account SET balance = balance - :amount WHERE id = :low;
SELECT balance FROM account WHERE id = :high;
UPDATE account SET balance = balance + :amount WHERE id = :high;
INSERT INTO moved VALUES (:client_id, :amount);
COMMIT;
UPDATE own SET turns = turns + 1 WHERE client = :client_id RETURNING turns \gset
SELECT turns AS seen FROM own WHERE client = :client_id \gset
\if :seen <> :turns
SELECT :seen / 0;
\endif
