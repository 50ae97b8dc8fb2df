//! What a measurement was made on. Names of hosts and paths are left out: results are kept in the repository.

use serde::Serialize;
use std::fs;

/// A machine, as far as it matters to measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// The processors that this process may use.
    pub cores: usize,
    /// Whether it is a virtual machine, as the processor says.
    pub virtual_machine: bool,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// `/proc/sys/kernel/perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// The load of the last minute when measuring began: whether the machine was quiet.
    pub load: Option<f64>,
}

impl Machine {
    /// Describes this machine. What cannot be read is left empty.
    pub fn this() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        Machine {
            cpu: field(&cpuinfo, "model name", ':').unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            virtual_machine: field(&cpuinfo, "flags", ':')
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            memory_mib: field(&read("/proc/meminfo"), "MemTotal", ':')
                .and_then(|total| total.strip_suffix("kB")?.trim().parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_default().replace('"', ""),
            perf_event_paranoid: read("/proc/sys/kernel/perf_event_paranoid").trim().parse().ok(),
            load: read("/proc/loadavg").split_whitespace().next().and_then(|load| load.parse().ok()),
        }
    }

    /// A short name for directories, from the processor and the cores.
    pub fn label(&self) -> String {
        let mut label = String::new();
        for word in self.cpu.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).take(4) {
            label.push_str(&word.to_ascii_lowercase());
            label.push('-');
        }
        format!("{label}{}-cores", self.cores)
    }
}

/// The value of the first line whose name it is, in files of lines such as `name : value`.
fn field(text: &str, name: &str, separator: char) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.4GHz\nflags\t\t: fpu hypervisor\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name", ':').as_deref(), Some("Some CPU @ 2.4GHz"));
        assert_eq!(field(cpuinfo, "model", ':'), None);
        assert_eq!(field("PRETTY_NAME=\"A B\"\n", "PRETTY_NAME", '=').as_deref(), Some("\"A B\""));
    }

    #[test]
    fn a_label_is_fit_for_a_directory() {
        let mut machine = Machine::this();
        machine.cpu = "Intel(R) Xeon(R) CPU @ 2.4GHz".into();
        machine.cores = 2;
        assert_eq!(machine.label(), "intel-r-xeon-r-2-cores");
        machine.cpu = "../..".into();
        assert_eq!(machine.label(), "2-cores");
    }

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::this();
        assert!(!machine.kernel.is_empty() && machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
    }
}
