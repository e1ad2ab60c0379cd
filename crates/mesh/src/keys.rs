//! Tables by key, looked at one kind and namespace at a time.

use memo::{Shared, Table};
use model::Key;

/// The entries beside a first possible key ([`Key::first_of`]), in the order of their names.
pub(crate) fn beside<V>(table: &Table<Key, V>, first: Key) -> impl Iterator<Item = (&Key, &Shared<V>)> {
    table.range(first.clone()..).take_while(move |(key, _)| key.is_beside(&first))
}

#[cfg(test)]
mod tests {
    use model::Kind;

    use super::*;

    #[test]
    fn neither_the_next_namespace_nor_the_next_cluster() {
        let keys = [("a", "n", "x"), ("a", "n", "y"), ("a", "o", "x"), ("b", "n", "x")];
        let key = |(cluster, namespace, name): (&str, &str, &str)| Key {
            name: name.into(),
            ..Key::first_of(&cluster.into(), Kind::Pod, &namespace.into())
        };
        let table: Table<Key, ()> = keys.iter().map(|it| (key(*it), Shared::default())).collect();
        let names = |cluster: &str, namespace: &str| -> Vec<String> {
            let first = Key::first_of(&cluster.into(), Kind::Pod, &namespace.into());
            beside(&table, first).map(|(key, _)| format!("{}/{}", key.cluster, key.name)).collect()
        };
        assert_eq!(names("a", "n"), ["a/x", "a/y"]);
        assert_eq!(names("a", "o"), ["a/x"]);
        assert_eq!(names("b", "o"), [""; 0]);
    }
}
