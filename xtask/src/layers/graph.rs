//! A directed graph of imports, and its circles.

use std::collections::{BTreeMap, BTreeSet};

/// Nodes by name; each edge holds the imports that make it.
#[derive(Default)]
pub(super) struct Graph {
    edges: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Graph {
    /// Adds `import` to the edge between two nodes.
    pub(super) fn add(&mut self, from: String, to: String, import: String) {
        self.edges.entry(from).or_default().entry(to).or_default().push(import);
    }

    /// Every edge: from, to, imports.
    pub(super) fn edges(&self) -> impl Iterator<Item = (&str, &str, &[String])> {
        self.edges
            .iter()
            .flat_map(|(from, edges)| edges.iter().map(|(to, imports)| (from.as_str(), to.as_str(), &**imports)))
    }

    /// The strongly connected components of two nodes or more: each node reaches each other one.
    pub(super) fn circles(&self) -> Vec<BTreeSet<String>> {
        let reachable: BTreeMap<&str, BTreeSet<&str>> =
            self.edges.keys().map(|node| (node.as_str(), self.reachable(node))).collect();
        let mut circles = Vec::new();
        let mut found: BTreeSet<&str> = BTreeSet::new();
        for (node, reached) in &reachable {
            if found.contains(*node) || !reached.contains(*node) {
                continue;
            }
            let circle: BTreeSet<&str> = reached
                .iter()
                .copied()
                .filter(|other| reachable.get(other).is_some_and(|back| back.contains(node)))
                .collect();
            found.extend(circle.iter().copied());
            circles.push(circle.into_iter().map(str::to_owned).collect());
        }
        circles
    }

    /// Every node that a path of one edge or more leads to from `node`.
    fn reachable(&self, node: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next = vec![node];
        while let Some(node) = next.pop() {
            for to in self.edges.get(node).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        reached
    }
}
