//! x
use crate::ending::Ending;
/// x
pub fn run() -> anyhow::Result<Ending> { Ok(Ending::Status(0)) }
