//! `ja4sensor top`: a live view of a sensor in the terminal.
//!
//! `state` is pure: keys, answers and sizes give a new state, and the state gives the request for the rows that are
//! shown. `draw` renders a state. `program` connects both with the terminal and the socket of a sensor: one that runs, or
//! one that the program starts and that ends with it.

mod cell;
mod column;
mod draw;
mod export;
mod expression;
mod feed;
mod inputs;
mod program;
mod request;
mod row;
mod start;
mod started_sensor;
mod state;
mod terminal;
mod units;

pub(crate) use self::start::{TopError, TopSource, run};
pub(crate) use self::started_sensor::PrivateFolder;
pub use self::terminal::TerminalSession;
