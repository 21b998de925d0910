//! The fuzz target `docx`: what it does is `fuzz::docx`. Half of the mutations change a part of the document and pack it
//! again, since hardly any change of the raw bytes gets past the checksums.

#![no_main]

use fuzz::mutate::{Random, pack, unpack};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(
    init: {
        // libFuzzer's hook ends the process before anything could contain the panic.
        let ending = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |news| {
            if !fuzz::is_contained(news) {
                ending(news);
            }
        }));
    },
    |data: &[u8]| fuzz::docx(data)
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(u64::from(seed));
    if random.below(8) != 0
        && let Some(changed) = changed(&data[..size], max_size, &mut random)
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    fuzzer_mutate(data, size, max_size)
});

fn changed(data: &[u8], max_size: usize, random: &mut Random) -> Option<Vec<u8>> {
    let mut parts = unpack(data)?;
    let chosen = random.below(parts.len());
    let content = &mut parts.get_mut(chosen)?.1;
    let size = content.len();
    content.resize(size + size / 2 + 64, 0);
    let room = content.len();
    let size = fuzzer_mutate(content, size, room);
    content.truncate(size);
    pack(&parts).filter(|packed| packed.len() <= max_size)
}
