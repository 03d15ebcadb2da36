//! Sockets that take little at a time, as where an administrator has made `tcp_wmem` small.

mod support;

use std::net::{SocketAddr, TcpStream};

use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{Domain, SockRef, Socket, Type};
use support::{PATIENCE, Process, Wire, skip};

/// Lets the connections that a server accepts send only a few KiB at a time: they inherit that from
/// the socket which listens. `false`, and a line, where another process' sockets are out of reach.
fn narrow(server: &Process) -> bool {
    let process = pidfd_open(server.pid(), PidfdFlags::empty()).expect("our child");
    for number in 0..64 {
        let fd = match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::BADF) => continue,
            Err(errno) => {
                skip(&format!("no socket of another process here: {errno}"));
                return false;
            }
        };
        let socket = SockRef::from(&fd);
        let address = socket.local_addr().ok().and_then(|found| found.as_socket());
        if address == Some(server.address) {
            socket.set_send_buffer_size(1).expect("a socket option");
            return true;
        }
    }
    panic!("the server listens on none of its first descriptors")
}

/// A connection with a window as small as the system makes it.
fn connect(address: SocketAddr) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(1).expect("a socket option");
    socket.connect(&address.into()).expect("somebody listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    Wire { stream }
}

/// Who reads every reply was closed when the log's thread, to which they were left in `always`, could
/// not send all of them at once.
#[test]
fn replies_that_waited_for_the_disk_arrive_whole_however_little_a_socket_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("a plain path");
    let server = Process::start(&["--data-dir", dir, "--durability", "always"]);
    if !narrow(&server) {
        return;
    }
    let mut wire = connect(server.address);
    for round in 0..20 {
        let value = format!("{round:03900}");
        wire.send(format!("SET key {value}\r\nGET key\r\n"));
        wire.expect(format!("+OK\r\n$3900\r\n{value}\r\n"));
    }
    // Without waiting for replies: those left over stand before those that come later.
    let values: Vec<String> = (0..20).map(|round| format!("{round:0800}")).collect();
    for value in &values {
        wire.send(format!("SET key {value}\r\nGET key\r\n"));
    }
    for value in &values {
        wire.expect(format!("+OK\r\n$800\r\n{value}\r\n"));
    }
}
