//! `ja4sensor top`: a live view of a sensor in the terminal.
//!
//! `state` is pure: keys, answers and sizes give a new state, and the state gives the request for the rows that are
//! shown. `draw` renders a state. `program` connects both with the terminal and with the source of the rows: the socket
//! of a sensor that runs, of one that the program starts and that ends with it, or a capture file.

mod cell;
mod column;
mod draw;
mod error;
mod export;
mod feed;
mod file_rows;
mod file_views;
mod inputs;
mod private_folder;
mod program;
mod request;
mod row;
mod start;
mod started_sensor;
mod state;
mod terminal;
mod units;

pub(crate) use self::error::TopError;
pub(crate) use self::private_folder::PrivateFolder;
pub(crate) use self::start::{TopSource, run};
pub use self::terminal::TerminalSession;
