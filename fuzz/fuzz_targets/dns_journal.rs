//! Bytes of a journal of names, whatever they are: read up to the first that is not good, and what
//! was read is written back alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_fqdn::{Cache, Limits, journal};

fuzz_target!(|bytes: &[u8]| {
    // Checksums keep a fuzzer out, so it writes entries without, and gets them framed.
    let mut framed = b"palisade names 1".to_vec();
    for entry in bytes.split(|byte| *byte == 0xa5) {
        let length = u32::try_from(entry.len()).unwrap_or_default().to_le_bytes();
        let sum = [&length, entry]
            .concat()
            .iter()
            .fold(u32::MAX, |sum, byte| {
                (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
                    sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
                })
            });
        framed.extend(length);
        framed.extend((!sum).to_le_bytes());
        framed.extend(entry);
    }
    for journal in [bytes, &framed] {
        let replayed = Cache::replay(Limits::default(), journal);
        assert!(replayed.length <= journal.len());
        assert_eq!(replayed.cut.is_none(), replayed.length == journal.len());
        let good = Cache::replay(Limits::default(), &journal[..replayed.length]);
        assert_eq!(good.cut, None);
        assert_eq!(good.cache.snapshot(), replayed.cache.snapshot());
        let mut cache = replayed.cache;
        let again = cache.start_journal();
        let entries = journal::Entries::new(&again).filter(Result::is_ok).count();
        assert!(entries >= cache.snapshot().len());
        assert_eq!(
            Cache::replay(Limits::default(), &again).cache.usage(),
            cache.usage()
        );
    }
});
