//! A program under `pronk record` does not notice: its input, output, status, signals and surroundings are its own.

mod common;

use common::{Place, run, text};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

#[test]
fn the_exit_status_is_the_programs() {
    let Some(place) = Place::for_recording() else { return };
    for status in [0, 1, 3, 42, 126, 127, 128, 255] {
        let output = run(&mut place.record_shell(&format!("exit {status}")));
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
    }
}

#[test]
fn pronk_dies_by_the_programs_signal() {
    let Some(place) = Place::for_recording() else { return };
    for signal in
        [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV, libc::SIGABRT, libc::SIGPIPE, libc::SIGINT, libc::SIGUSR1]
    {
        let pronk = env!("CARGO_BIN_EXE_pronk");
        let script = format!("ulimit -c unlimited; exec {pronk} record -- /bin/sh -c 'kill -{signal} $$'");
        let output = run(Command::new("/bin/sh").args(["-c", &script]).current_dir(place.path()));
        assert_eq!(output.status.signal(), Some(signal), "{:?} {}", output.status, text(&output.stderr));
        assert!(!output.status.core_dumped());
        assert!(place.file("profile.pronk").exists(), "the profile is written all the same");
    }
}

#[test]
fn a_command_that_is_not_there_ends_with_127_and_one_that_cannot_run_with_126() {
    let Some(place) = Place::for_recording() else { return };
    for missing in ["no-such-command-anywhere", "./missing", "/nowhere/missing"] {
        let output = run(&mut place.record(&[missing]));
        assert_eq!(output.status.code(), Some(127), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains(&format!("cannot run {missing}: No such file")),
            "{}",
            text(&output.stderr)
        );
    }
    std::fs::write(place.file("script"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(place.file("script"), std::fs::Permissions::from_mode(0o644)).unwrap();
    for refused in ["./script", "."] {
        let output = run(&mut place.record(&[refused]));
        assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(&format!("cannot run {refused}: ")), "{}", text(&output.stderr));
    }
    std::fs::write(place.file("lost"), "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(place.file("lost"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run(&mut place.record(&["./lost"])).status.code(), Some(127));
    assert!(!place.file("profile.pronk").exists());
}

#[test]
fn output_and_errors_stay_apart_and_pronk_speaks_on_stderr_only() {
    let Some(place) = Place::for_recording() else { return };
    let output = run(&mut place.record_shell("echo to stdout; echo to stderr >&2"));
    assert_eq!(text(&output.stdout), "to stdout\n");
    let said = text(&output.stderr);
    assert!(said.starts_with("to stderr\n"), "{said}");
    assert!(said.lines().skip(1).all(|line| line.starts_with("pronk: ")), "{said}");
    assert!(said.contains("profile.pronk") && said.contains("profile.svg"), "{said}");
}

#[test]
fn stdin_is_the_programs() {
    let Some(place) = Place::for_recording() else { return };
    let mut command = place.record(&["/bin/cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            stdin.write_all(&sent).unwrap();
            drop(stdin);
        });
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    assert!(output.stdout == sent, "the bytes differ");
}

#[test]
fn a_hundred_megabytes_pass_as_they_are() {
    // FNV-1a, 64 bits, byte by byte: the same however the bytes come in pieces.
    let digest = |command: &mut Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (mut hash, mut size, mut buffer) = (0xcbf2_9ce4_8422_2325_u64, 0, vec![0; 1 << 16]);
        loop {
            let read = stdout.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            for byte in &buffer[..read] {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
            size += read;
        }
        assert!(child.wait().unwrap().success());
        (size, hash)
    };
    let Some(place) = Place::for_recording() else { return };
    let script = "seq 1 20000000 | head -c 104857600";
    let plain = digest(Command::new("/bin/sh").args(["-c", script]));
    assert_eq!(plain.0, 104_857_600);
    assert_eq!(digest(&mut place.record_shell(script)), plain);
}

#[test]
fn the_surroundings_are_the_programs() {
    let Some(place) = Place::for_recording() else { return };
    // Signal dispositions and mask, resource limits, open files, umask, working directory, process group.
    let script = "grep -E '^(Sig(Blk|Ign|Cgt)|ShdPnd|Umask|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/limits; \
                  ls /proc/self/fd; pwd; ps -o tpgid= -p $$; env | grep -vE '^(LD_PRELOAD|PRONK_SESSION|_)=' | sort";
    let plain = run(Command::new("/bin/sh").args(["-c", script]).current_dir(place.path()));
    let profiled = run(&mut place.record_shell(script));
    assert_eq!(text(&profiled.stdout), text(&plain.stdout));
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let Some(place) = Place::for_recording() else { return };
    // As nohup does it.
    let pronk = env!("CARGO_BIN_EXE_pronk");
    let script = format!("trap '' HUP INT; {pronk} record -- grep SigIgn /proc/self/status");
    let plain = run(Command::new("/bin/sh").args(["-c", "trap '' HUP INT; grep SigIgn /proc/self/status"]));
    let profiled = run(Command::new("/bin/sh").args(["-c", &script]).current_dir(place.path()));
    assert_eq!(text(&profiled.stdout), text(&plain.stdout));
}

#[test]
fn a_closed_stderr_costs_the_words_only() {
    let Some(place) = Place::for_recording() else { return };
    let pronk = env!("CARGO_BIN_EXE_pronk");
    let script = format!("{pronk} record -- /bin/sh -c 'exit 3' 2>&-");
    let output = run(Command::new("/bin/sh").args(["-c", &script]).current_dir(place.path()));
    assert_eq!(output.status.code(), Some(3));
    assert!(place.file("profile.pronk").exists());
}
