//! PostgreSQL's MD5 challenge (`AuthenticationMD5Password`), as both sides compute it: weak, and for those who know nothing else. What
//! is kept of a password, `md5` and the hash that [`kept`] gives, is enough to answer.

/// The 32 hexadecimal digits that PostgreSQL keeps of a password.
pub fn kept(user: &str, password: &str) -> String {
    format!("{:x}", md5::compute([password.as_bytes(), user.as_bytes()].concat()))
}

/// The right answer of who knows what is kept.
pub fn answer(kept: &str, salt: [u8; 4]) -> String {
    format!("md5{:x}", md5::compute([kept.as_bytes(), &salt].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::md5_hash;

    #[test]
    fn the_answer_is_that_of_other_clients() {
        let salt = [0, 1, 0xff, b'x'];
        assert_eq!(answer(&kept("md5_user", "password"), salt), md5_hash(b"md5_user", b"password", salt));
    }
}
