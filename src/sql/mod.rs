//! Text to statement: its kind, the names it reads and writes, its functions. Knows no catalog and no connection.
//! The only module that names `sqlparser`.
