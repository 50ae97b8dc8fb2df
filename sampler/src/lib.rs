//! Takes stack samples of a process tree. It knows addresses, and no names.
//!
//! A [`Session`] starts a command, lets the kernel sample every thread of every process that comes of it, unwinds each
//! sample, and returns a [`recording::Recording`]. [`probe`] says what the machine permits.
//!
//! ```no_run
//! use pronk_sampler::{EngineChoice, Mode, Request, Session, SessionDirectory};
//!
//! let request = Request {
//!     command: vec!["python3".into(), "app.py".into()],
//!     frequency: 999,
//!     duration: None,
//!     engine: EngineChoice::Auto,
//!     mode: Mode::Cpu,
//!     kernel: false,
//!     await_chains: false,
//!     stubs: Default::default(),
//!     label_variables: Vec::new(),
//!     label_arguments: Vec::new(),
//!     label_spans: false,
//!     children: true,
//!     streams: Default::default(),
//! };
//! let mut session = Session::start(request, SessionDirectory::create(b"")?)?;
//! let recording = session.record()?;
//! println!("{} samples", recording.sample_count());
//! # Ok::<(), pronk_sampler::Error>(())
//! ```

mod attach;
mod directory;
mod dump;
mod engine;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod growth;
mod label_argument;
mod label_names;
mod label_variable;
mod launch;
mod limits;
mod mappings;
mod maps;
mod permissions;
mod proc_text;
mod processes;
mod published;
mod recorder;
pub mod recording;
mod sections;
mod session;
mod shared_memory;
mod signals;
mod subject;
mod target;
mod ticks;
mod unwind;

pub use directory::SessionDirectory;
pub use dump::{Dump, DumpRequest, DumpedTask, DumpedThread, Variable, Waiting, WaitsFor, dump};
pub use error::Error;
pub use files::open_regular;
pub use growth::Growth;
pub use label_argument::{LabelArgument, NotAnArgument};
pub use label_variable::{LabelVariable, NotAVariable};
pub use launch::{Streams, with_stubs_only};
pub use permissions::{Answer, Permissions, probe};
pub use pronk_trampolines::wire::Mode;
pub use sections::{section_contents, shared_section};
pub use session::{EngineChoice, Request, Session, Stubs, Watched};
pub use ticks::tick_cost;
