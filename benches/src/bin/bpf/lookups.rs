//! A policy lookup, beside the two lookups in a prefix map that Cilium's program makes.

use std::error::Error;
use std::mem::MaybeUninit;

use libbpf_rs::ProgramMut;
use palisade_datapath::Maps;

use crate::blocks::{self, LOOKUPS};
use crate::skel::BlocksSkel;
use crate::verdict::Verdicts;

/// Identities that questions are about.
const STEPS: [u32; 4] = [100, 1_000, 16_384, blocks::IDENTITIES];
/// The least of so many rounds counts; all blocks take their turn in each.
const ROUNDS: usize = 7;
const RUNS: u32 = 4_000;
/// What a lookup may take, in terms of the two lookups in the prefix map: with one key, and with all
/// that there are. Few identities fit a prefix map into the cache beside 2 million cells that do not.
const MOST_WARM: f64 = 0.5;
const MOST_RANDOM: f64 = 0.7;

/// What questions are about.
#[derive(Clone, Copy)]
struct Draw {
    endpoints: u32,
    first_identity: u32,
    identities: u32,
    ports: u32,
}

impl Draw {
    const WARM: Self = Self {
        endpoints: 1,
        first_identity: blocks::KNOWN,
        identities: 1,
        ports: 1,
    };

    const fn random(first_identity: u32, identities: u32) -> Self {
        Self {
            endpoints: blocks::POLICIES,
            first_identity,
            identities,
            ports: blocks::PORT_CLASSES as u32,
        }
    }
}

/// Nanoseconds of a lookup in the tables, and of the two in the prefix map.
#[derive(Clone, Copy)]
struct Costs {
    tables: f64,
    prefixes: f64,
}

pub(crate) fn run(verdicts: &mut Verdicts) -> Result<(), Box<dyn Error>> {
    let mut maps = Maps::create(blocks::SIZES)?;
    blocks::fill(&mut maps)?;
    let mut storage = MaybeUninit::uninit();
    let mut skel = blocks::load(&maps, &mut storage)?;
    println!(
        "\npolicy lookup: {} policies, {} peer classes, {} rows × {} port classes\n\
         ns, tables | two prefix lookups            to reach, tables: 12 warm, 40 random\n\
         {:>10}  {:>13}  {:>13}  {:>13}  {:>13}  {:>13}",
        blocks::POLICIES,
        blocks::PEER_CLASSES,
        blocks::ROWS,
        blocks::PORT_CLASSES,
        "identities",
        "warm",
        "random",
        "unknown",
        "chain, warm",
        "chain, random",
    );
    let mut filled = 0;
    for identities in STEPS {
        blocks::add_prefixes(&skel, filled..identities)?;
        filled = identities;
        let random = Draw::random(blocks::KNOWN, identities);
        let unknown = Draw::random(blocks::UNKNOWN, identities.min(blocks::IDENTITIES - 1));
        let apart = [Draw::WARM, random, unknown];
        let [warm, any, miss] = apart.map(|draw| measure(&mut skel, draw, Order::Apart));
        let [alone, any_alone] =
            [Draw::WARM, random].map(|draw| measure(&mut skel, draw, Order::Chained));
        let (warm, any, miss) = (warm?, any?, miss?);
        print!("{identities:>10}");
        for costs in [warm, any, miss, alone?, any_alone?] {
            print!("  {:>5.1} | {:>5.1}", costs.tables, costs.prefixes);
        }
        println!();
        let ratio = |costs: Costs| costs.tables / costs.prefixes;
        let what = format!("a warm lookup, {identities} identities");
        verdicts.at_most(&what, ratio(warm), MOST_WARM);
        if identities == blocks::IDENTITIES {
            verdicts.at_most("a random lookup", ratio(any), MOST_RANDOM);
            verdicts.at_most("a lookup of unknown peers", ratio(miss), MOST_RANDOM);
        }
    }
    Ok(())
}

/// Whether a key waits for the answer before it.
#[derive(Clone, Copy)]
enum Order {
    Apart,
    Chained,
}

fn measure(skel: &mut BlocksSkel<'_>, draw: Draw, order: Order) -> Result<Costs, Box<dyn Error>> {
    let data = skel.maps.bss_data.as_mut().ok_or("no data")?;
    data.spread.endpoints = draw.endpoints;
    data.spread.identities = draw.identities;
    data.spread.first_identity = draw.first_identity;
    data.spread.ports = draw.ports;
    data.spread.state = 0x9e37_79b9_7f4a_7c15;
    let programs = &skel.progs;
    let blocks: [&ProgramMut<'_>; 3] = match order {
        Order::Apart => [
            &programs.none_apart,
            &programs.tables_apart,
            &programs.prefix_apart,
        ],
        Order::Chained => [
            &programs.none_chained,
            &programs.tables_chained,
            &programs.prefix_chained,
        ],
    };
    let mut least = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        for (block, least) in blocks.iter().zip(&mut least) {
            *least = least.min(blocks::time(block, RUNS)?);
        }
    }
    let [none, tables, prefixes] = least;
    Ok(Costs {
        tables: (tables - none) / LOOKUPS,
        prefixes: (prefixes - none) / LOOKUPS,
    })
}
