//! Any bytes as a capture file: it ends, and every frame and payload lies where it says.
#![no_main]

use std::{io::Cursor, sync::Mutex};

use ja4_user::capture::{Batch, CaptureFile};
use libfuzzer_sys::fuzz_target;

/// Used again and again, as replay does: nothing of one file may show in the next.
static BATCH: Mutex<Batch> = Mutex::new(Batch::new());

fuzz_target!(|data: &[u8]| {
    let mut file = CaptureFile::from_reader("fuzz", Box::new(Cursor::new(data.to_vec())));
    let mut batch = BATCH.lock().unwrap();
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
    assert_eq!(file.packets() + 1, file.next_number());
});
