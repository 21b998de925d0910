//! The fuzz target `pdf`: what it does is `fuzz::pdf`.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer's hook ends the process before anything could contain the panic.
        let ending = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |news| {
            if !fuzz::is_contained(news) {
                ending(news);
            }
        }));
    },
    |data: &[u8]| fuzz::pdf(data)
);
