use proptest::prelude::*;
use serde_json::json;

use super::*;

fn device(points: &[(&str, u16, &str)], limits: serde_json::Value) -> Device {
    let points: Vec<_> = points
        .iter()
        .enumerate()
        .map(|(place, (table, address, kind))| {
            json!({"name": format!("p{place}"), "table": table, "address": address, "type": kind})
        })
        .collect();
    let mut device = json!({"name": "d", "site": "s", "address": "h:1", "points": points});
    device
        .as_object_mut()
        .unwrap()
        .extend(limits.as_object().unwrap().clone());
    let config: crate::config::Config =
        serde_json::from_value(json!({"devices": [device]})).unwrap();
    config.devices().unwrap().remove(0)
}

fn plan(device: &Device) -> Plan {
    Plan::new(device, 0..device.points.len())
}

fn blocks(plan: &Plan) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    while let Some(block) = plan.block_at(blocks.last().map_or(0, Block::after)) {
        blocks.push(block);
    }
    blocks
}

fn spans(plan: &Plan) -> Vec<(u16, u16)> {
    blocks(plan)
        .iter()
        .map(|block| (block.start, block.count))
        .collect()
}

#[test]
fn neighbours_are_joined_within_the_gap_and_apart_beyond_it() {
    let points = [
        ("holding", 30, "u16"),
        ("holding", 0, "f32"),
        ("holding", 10, "u16"),
        ("input", 11, "u16"),
        ("coil", 12, "bool"),
    ];
    let device = device(&points, json!({"gap_max": 8}));
    let blocks = blocks(&plan(&device));
    let seen: Vec<_> = blocks
        .iter()
        .map(|block| (block.table, block.start, block.count, block.points.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (Table::Coil, 12, 1, vec![4]),
            (Table::Holding, 0, 11, vec![1, 2]),
            (Table::Holding, 30, 1, vec![0]),
            (Table::Input, 11, 1, vec![3]),
        ]
    );
}

#[test]
fn a_value_is_never_torn_over_two_reads() {
    let points = [
        ("holding", 0, "u16"),
        ("holding", 1, "f64"),
        ("holding", 4, "u16"),
    ];
    let device = device(&points, json!({"registers_max": 4}));
    // The last point lies within the second's registers: both or neither.
    assert_eq!(spans(&plan(&device)), [(0, 1), (1, 4)]);
}

#[test]
fn a_refused_block_is_cut_at_its_gap_first() {
    let points = [
        ("holding", 0, "u16"),
        ("holding", 1, "u16"),
        ("holding", 5, "u16"),
    ];
    let device = device(&points, json!({}));
    let mut plan = plan(&device);
    let block = blocks(&plan).remove(0);
    assert_eq!(plan.refused(&block), Refusal::Cut);
    assert_eq!(spans(&plan), [(0, 2), (5, 1)]);
}

#[test]
fn the_guilty_point_is_found_and_never_covered_again() {
    let points: Vec<_> = (0..50).map(|address| ("input", address, "u16")).collect();
    let device = device(&points, json!({}));
    let mut plan = plan(&device);
    let (guilty, mut reads, mut dropped) = (37_u16, 0, Vec::new());
    loop {
        let refused = blocks(&plan)
            .into_iter()
            .find(|block| (block.start..block.start + block.count).contains(&guilty));
        let Some(block) = refused else { break };
        reads += 1;
        if plan.refused(&block) == Refusal::Dropped {
            dropped.extend(block.points);
        }
    }
    assert_eq!(dropped, [37]);
    assert!(reads <= 8, "{reads} reads to find one of 50");
    let points: usize = blocks(&plan).iter().map(|block| block.points.len()).sum();
    assert_eq!(points, 49);
}

proptest! {
    #[test]
    fn every_point_is_in_exactly_one_block_that_covers_it(
        points in prop::collection::vec(
            (prop::sample::select(&["holding", "input"][..]), 0..400_u16,
             prop::sample::select(&["u16", "f32", "u64"][..])), 1..80),
        registers_max in 4..=125_u16,
        gap_max in 0..20_u16,
        refusals in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let device = device(&points, json!({"registers_max": registers_max, "gap_max": gap_max}));
        let mut plan = plan(&device);
        let mut dropped = 0;
        for index in refusals {
            let blocks = blocks(&plan);
            if blocks.is_empty() { break; }
            let block = index.get(&blocks);
            if plan.refused(block) == Refusal::Dropped {
                dropped += block.points.len();
            }
        }
        let mut seen = std::collections::HashSet::new();
        for block in blocks(&plan) {
            prop_assert!(block.count <= registers_max);
            prop_assert!(block.request().check().is_ok());
            for place in block.points {
                let point = &device.points[place];
                prop_assert!(seen.insert(place));
                prop_assert!(point.table == block.table && point.address >= block.start);
                prop_assert!(point.address + point.span() <= block.start + block.count);
            }
        }
        prop_assert_eq!(seen.len() + dropped, device.points.len());
    }
}
