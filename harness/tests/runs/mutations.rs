//! Scenarios that were good until a node of them was dropped, doubled or put in place of another: they are refused with
//! their mistakes, or can be run, judged and told. Nothing panics.

use std::path::Path;
use std::time::Duration;

use gauntlet::explain::explain;
use gauntlet::run::{RunOptions, run};
use gauntlet::scenario;
use gauntlet::verdict::judge;
use serde_yaml::Value;

/// How many slips are made, and how many of the scenarios that come of them are run.
const SLIPS: usize = 240;
const RUNS: usize = 24;

#[test]
fn no_slip_in_a_scenario_makes_its_run_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = scenario::find(&[root]).expect("there are scenarios");
    let read =
        |path| serde_yaml::from_str(&std::fs::read_to_string(path).expect("text")).expect("it is YAML");
    let trees: Vec<Value> = files.iter().map(read).collect();
    let mut chance = Chance(0x2545_F491_4F6C_DD1D);
    let (mut refused, mut ran) = (0, 0);
    for _ in 0..SLIPS {
        let at = chance.below(trees.len());
        let mut tree = trees[at].clone();
        let donor = &trees[chance.below(trees.len())];
        slip(&mut tree, donor, &mut chance);
        let text = serde_yaml::to_string(&tree).expect("it is YAML");
        match scenario::parse(&text, &files[at], "slip") {
            Err(mistakes) => {
                assert!(!mistakes.list().is_empty() && !mistakes.to_string().is_empty(), "{text}");
                refused += 1;
            }
            Ok(cases) if ran < RUNS => {
                let case = &cases[chance.below(cases.len())];
                assert!(explain(case).starts_with(&case.title[..1]), "{text}");
                // What takes longer is inconclusive, and is judged as that.
                let options = RunOptions { guard: Duration::from_millis(300), ..RunOptions::default() };
                if let Ok(record) = run(case, "reference", &options) {
                    let _ = judge(case, &record);
                    ran += 1;
                }
            }
            Ok(_) => {}
        }
    }
    assert!(refused > SLIPS / 4 && ran == RUNS, "{refused} were refused and {ran} ran");
}

/// Drops a node, doubles it, or puts a node of another scenario in its place.
fn slip(tree: &mut Value, donor: &Value, chance: &mut Chance) {
    let put = chance.below(count(donor));
    let put = nth(donor, put).clone();
    let within = chance.below(count(tree));
    let what = chance.below(3);
    match (nth_mut(tree, &mut { within }), what) {
        (Some(Value::Sequence(items)), 0 | 1) if !items.is_empty() => {
            let at = chance.below(items.len());
            let item = items.remove(at);
            if what == 1 {
                items.extend([item.clone(), item]);
            }
        }
        (Some(Value::Mapping(entries)), 0 | 1) if !entries.is_empty() => {
            let key = entries.keys().nth(chance.below(entries.len())).expect("it is there").clone();
            let value = entries.get(&key).expect("it is there").clone();
            if what == 0 {
                entries.remove(&key);
            } else {
                entries.insert(Value::String(format!("{}2", key.as_str().unwrap_or("x"))), value);
            }
        }
        (Some(node), _) => *node = put,
        (None, _) => unreachable!("there are as many"),
    }
}

/// A node and all below it.
fn count(node: &Value) -> usize {
    1 + match node {
        Value::Sequence(items) => items.iter().map(count).sum(),
        Value::Mapping(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

fn nth(node: &Value, mut n: usize) -> &Value {
    fn below(node: &Value) -> Vec<&Value> {
        match node {
            Value::Sequence(items) => items.iter().collect(),
            Value::Mapping(entries) => entries.values().collect(),
            _ => Vec::new(),
        }
    }
    let mut node = node;
    'down: while n > 0 {
        n -= 1;
        for child in below(node) {
            let size = count(child);
            if n < size {
                node = child;
                continue 'down;
            }
            n -= size;
        }
        break;
    }
    node
}

fn nth_mut<'a>(node: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(node);
    }
    *n -= 1;
    match node {
        Value::Sequence(items) => items.iter_mut().find_map(|item| nth_mut(item, n)),
        Value::Mapping(entries) => entries.values_mut().find_map(|value| nth_mut(value, n)),
        _ => None,
    }
}

/// The same numbers in every run (xorshift, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }
}
