use std::fs;
use std::io;

/// The TCP ports on which a process of this machine listens, read from Linux's `/proc`.
pub fn listening(process: u32) -> io::Result<Vec<u16>> {
    let mut sockets = Vec::new();
    for file in fs::read_dir(format!("/proc/{process}/fd"))? {
        // The file may have been closed since it was listed.
        if let Ok(target) = fs::read_link(file?.path()) {
            let target = target.to_string_lossy().into_owned();
            sockets.extend(target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned));
        }
    }
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        for line in fs::read_to_string(format!("/proc/{process}/net/{table}"))?.lines().skip(1) {
            let columns: Vec<_> = line.split_whitespace().collect();
            // The local address, the state (`0A` means "listening"), and the number of the socket.
            let [Some(address), Some(state), Some(socket)] = [1, 3, 9].map(|place| columns.get(place)) else {
                continue;
            };
            if *state == "0A" && sockets.iter().any(|own| own == socket) {
                let port = address.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
                ports.extend(port);
            }
        }
    }
    ports.sort_unstable();
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_of_this_process_is_found_until_closed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_found = || listening(std::process::id()).unwrap().contains(&port);
        assert!(is_found());
        drop(listener);
        assert!(!is_found());
    }
}
