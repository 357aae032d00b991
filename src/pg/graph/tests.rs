use super::*;
use crate::pg::catalog::object::class;

fn named(name: &str) -> Names {
    Names::new(Some(&"s".into()), name)
}

/// A graph whose nodes are found by name.
struct Built {
    graph: Graph,
    names: HashMap<&'static str, NodeId>,
}

impl Built {
    fn new(nodes: &[(&'static str, NodeKind)]) -> Self {
        let (mut graph, mut names) = (Graph::new(), HashMap::new());
        for (number, (name, kind)) in nodes.iter().enumerate() {
            let id = ObjectId::new(class::PG_CLASS, u32::try_from(number).unwrap());
            names.insert(*name, graph.add(Node::new(*kind, Some(id), 0), named(name)));
        }
        Built { graph, names }
    }

    fn owned(mut self, part: &str, owner: &str) -> Self {
        self.graph.node_mut(self.names[part]).unwrap().owner = Some(self.names[owner]);
        self
    }

    fn needs(mut self, node: &str, on: &str) -> Self {
        self.graph.depend(self.names[node], self.names[on]);
        self
    }

    fn order(self) -> (Ordered, HashMap<&'static str, NodeId>) {
        (self.graph.order().unwrap(), self.names)
    }
}

fn place(ordered: &Ordered, node: NodeId) -> usize {
    ordered.order.iter().position(|other| *other == node).unwrap()
}

#[test]
fn unrelated_objects_go_by_kind_schema_and_name() {
    use NodeKind::*;
    let built = Built::new(&[("t2", Table), ("i", Index), ("f", Function), ("t1", View), ("s", Schema)]);
    let (ordered, names) = built.order();
    let order: Vec<NodeId> = ordered.order.iter().copied().filter(|id| *id > 1).collect();
    assert_eq!(order, ["s", "f", "t1", "t2", "i"].map(|name| names[name]));
    assert!(ordered.broken.is_empty());
}

#[test]
fn a_dependency_disturbs_only_what_it_must() {
    use NodeKind::*;
    let (ordered, names) = Built::new(&[("f", Function), ("t", Table), ("g", Function)]).needs("f", "t").order();
    let order: Vec<NodeId> = ordered.order.iter().copied().filter(|id| *id > 1).collect();
    assert_eq!(order, ["t", "f", "g"].map(|name| names[name]), "f waits for t, and g keeps its place behind f");
}

#[test]
fn a_type_and_its_input_function_meet_over_a_shell() {
    use NodeKind::*;
    let built = Built::new(&[("type", Type), ("in", Function), ("shell", ShellType)]);
    let (ordered, names) = built.owned("shell", "type").needs("type", "in").needs("in", "type").order();
    assert!(ordered.node(names["shell"]).unwrap().repair.shell);
    assert!(place(&ordered, names["shell"]) < place(&ordered, names["in"]));
    assert!(place(&ordered, names["in"]) < place(&ordered, names["type"]));
}

#[test]
fn a_view_alone_with_its_rule_is_one_statement() {
    use NodeKind::*;
    let built = Built::new(&[("v", View), ("rule", ReturnRule)]).owned("rule", "v");
    let (ordered, names) = built.needs("v", "rule").needs("rule", "v").order();
    assert_eq!(ordered.node(names["v"]).unwrap().repair, Repaired::default());
    assert!(ordered.node(names["rule"]).unwrap().is_inline());
}

#[test]
fn views_that_need_each_other_get_one_stand_in() {
    use NodeKind::*;
    let built =
        Built::new(&[("a", View), ("b", View), ("rule_a", ReturnRule), ("rule_b", ReturnRule), ("f", Function)]);
    let built = built.owned("rule_a", "a").owned("rule_b", "b");
    let built = built.needs("a", "rule_a").needs("rule_a", "a").needs("b", "rule_b").needs("rule_b", "b");
    let (ordered, names) = built.needs("rule_a", "f").needs("f", "b").needs("rule_b", "a").order();
    let stand_ins = ["a", "b"].map(|name| ordered.node(names[name]).unwrap().repair.stand_in);
    assert_eq!(stand_ins, [true, false]);
    assert!(ordered.node(names["rule_a"]).unwrap().repair.separate);
    assert!(place(&ordered, names["rule_a"]) > place(&ordered, 1), "the real view is post-data");
    assert!(place(&ordered, names["a"]) < place(&ordered, names["b"]));
}

#[test]
fn a_view_over_a_primary_key_becomes_a_stand_in_and_those_above_it_stay() {
    use NodeKind::*;
    let built = Built::new(&[("t", Table), ("low", View), ("high", View), ("rule_low", ReturnRule)]);
    let mut built = built.owned("rule_low", "low").needs("low", "rule_low").needs("rule_low", "low");
    for (name, kind) in [("rule_high", ReturnRule), ("pkey", Constraint)] {
        let id = built.graph.add(Node::new(kind, None, 0), named(name));
        built.names.insert(name, id);
    }
    let built = built.owned("rule_high", "high").needs("high", "rule_high").needs("rule_high", "high");
    let built = built.needs("rule_high", "low").needs("rule_low", "pkey").needs("pkey", "t");
    let (ordered, names) = built.order();
    assert!(ordered.node(names["low"]).unwrap().repair.stand_in);
    assert_eq!(ordered.node(names["high"]).unwrap().repair, Repaired::default());
    assert!(place(&ordered, names["rule_low"]) > place(&ordered, names["pkey"]));
}

#[test]
fn what_needs_post_data_and_has_no_stand_in_is_postponed() {
    use NodeKind::*;
    for kind in [MaterializedView, Function] {
        let built = Built::new(&[("t", Table), ("pkey", Constraint), ("x", kind)]);
        let (ordered, names) = built.needs("pkey", "t").needs("x", "pkey").order();
        assert!(ordered.node(names["x"]).unwrap().repair.postponed, "{kind:?}");
        assert!(place(&ordered, names["x"]) > place(&ordered, names["pkey"]));
    }
}

#[test]
fn a_check_is_inside_its_table_unless_it_leads_back_there() {
    use NodeKind::*;
    for (kind, owner, is_post_data) in [(Check, Table, true), (Default, Table, false), (DomainConstraint, Type, true)] {
        let alone = Built::new(&[("t", owner), ("part", kind)]).owned("part", "t");
        let (ordered, names) = alone.needs("t", "part").needs("part", "t").order();
        assert!(ordered.node(names["part"]).unwrap().is_inline(), "{kind:?}");

        let looped = Built::new(&[("t", owner), ("part", kind), ("f", Function)]).owned("part", "t");
        let looped = looped.needs("t", "part").needs("part", "t").needs("part", "f").needs("f", "t");
        let (ordered, names) = looped.order();
        assert!(ordered.node(names["part"]).unwrap().repair.separate, "{kind:?}");
        assert!(place(&ordered, names["f"]) < place(&ordered, names["part"]));
        assert_eq!(place(&ordered, names["part"]) > place(&ordered, 1), is_post_data, "{kind:?}");
        assert!(ordered.broken.is_empty());
    }
}

#[test]
fn a_partitioned_index_does_not_need_its_part() {
    use NodeKind::*;
    let built = Built::new(&[("parent", Index), ("child", Index)]).owned("child", "parent");
    let (ordered, names) = built.needs("parent", "child").needs("child", "parent").order();
    assert!(place(&ordered, names["parent"]) < place(&ordered, names["child"]));
    assert!(ordered.broken.is_empty());
}

#[test]
fn an_unknown_loop_is_broken_and_named() {
    use NodeKind::*;
    let built = Built::new(&[("a", Cast), ("b", Operator), ("c", Passive)]);
    let (ordered, _) = built.needs("a", "b").needs("b", "a").order();
    assert_eq!(ordered.broken, ["Cast s.a → Operator s.b"]);
    let built = Built::new(&[("c", Passive), ("d", Passive)]);
    let (ordered, _) = built.needs("c", "d").needs("d", "c").order();
    assert!(ordered.broken.is_empty(), "nobody makes these");
}

#[test]
fn a_long_chain_needs_no_deep_stack() {
    let mut graph = Graph::new();
    let first = graph.add(Node::new(NodeKind::Cast, None, 0), Names::new(None, "0"));
    let mut last = first;
    for number in 1..200_000 {
        let next = graph.add(Node::new(NodeKind::Cast, None, 0), Names::new(None, number.to_string()));
        graph.depend(next, last);
        last = next;
    }
    graph.depend(first, last);
    let ordered = graph.order().unwrap();
    assert_eq!(ordered.broken.len(), 1);
}
