//! A pair of values, one for each side of a connection.

use std::mem;
use std::ops::{Index, IndexMut};

use ja4::Side;

/// One value for the client and one for the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerSide<T> {
    /// The client's value.
    pub client: T,
    /// The server's value.
    pub server: T,
}

impl<T> PerSide<T> {
    /// Swaps the two values.
    pub fn swap(&mut self) {
        mem::swap(&mut self.client, &mut self.server);
    }

    /// Each side and its value, the client first.
    pub fn iter(&self) -> impl Iterator<Item = (Side, &T)> {
        [(Side::Client, &self.client), (Side::Server, &self.server)].into_iter()
    }

    /// Each side and its value, the client first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Side, &mut T)> {
        [(Side::Client, &mut self.client), (Side::Server, &mut self.server)].into_iter()
    }
}

/// The client's value, then the server's.
impl<T> From<[T; 2]> for PerSide<T> {
    fn from([client, server]: [T; 2]) -> Self {
        Self { client, server }
    }
}

impl<T> Index<Side> for PerSide<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl<T> IndexMut<Side> for PerSide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_own_value() {
        let mut pair = PerSide { client: "client", server: "server" };
        assert_eq!((pair[Side::Client], pair[Side::Server]), ("client", "server"));
        pair.swap();
        assert_eq!(pair, PerSide { client: "server", server: "client" });
        pair[Side::Server] = "other";
        pair.iter_mut().for_each(|(_, value)| *value = &value[1..]);
        let values: Vec<_> = pair.iter().map(|(side, value)| (side.name(), *value)).collect();
        assert_eq!(values, [("client", "erver"), ("server", "ther")]);
    }
}
