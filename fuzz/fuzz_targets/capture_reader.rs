//! Any bytes as a capture file: it ends, and every frame and payload lies where it says.
#![no_main]

use ja4_user::capture::{Batch, CaptureFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut file = CaptureFile::from_reader("fuzz", Box::new(std::io::Cursor::new(data.to_vec())));
    let mut batch = Batch::new();
    while let Ok(true) = file.fill(&mut batch) {
        assert!(!batch.frames().is_empty());
        for frame in batch.frames() {
            let bytes = batch.bytes(frame);
            assert_eq!(bytes.len(), frame.captured as usize);
            if let Ok(payload) = frame.link.network(bytes) {
                assert!(payload.offset <= bytes.len());
            }
        }
    }
});
