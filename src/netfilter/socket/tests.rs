use proptest::prelude::*;

use super::*;

// Recorded on Linux 6.18, little endian, while ss(8) -tanO printed:
//
//     ESTAB    7      0               10.0.0.1:49152          10.0.0.9:21
//     SYN-SENT 0      1               10.0.0.9:20             10.0.0.1:50001 timer:(on,692ms,1)
//     LISTEN   0      5                      *:21                    *:*
//     ESTAB    0      0      [::ffff:10.0.0.9]:21    [::ffff:10.0.0.1]:49152

/// IPv4 sockets.
const IPV4_LIST: &str = "\
    7c00000014000200000000000914000002010000c00000150a0000010000000000000000000000000a000009000000000000000000000000 \
    0000000015080000000000000000000007000000000000000000000025625d00050008000000000008000f00000000000c00150001000000 \
    0000000006001600520000007c000000140002000000000009140000020201010014c3510a0000090000000000000000000000000a000001 \
    000000000000000000000000000000001608000000000000c002000000000000010000000000000027625d00050008000000000008000f00 \
    000000000c00150001000000000000000600160052000000";

/// IPv6 sockets.
const IPV6_LIST: &str = "\
    840000001400020000000000091400000a0a0000001500000000000000000000000000000000000000000000000000000000000000000000 \
    0000000017080000000000000000000000000000050000000000000024625d00050008000000000005000b000000000008000f0000000000 \
    0c001500010000000000000006001600120000007c0000001400020000000000091400000a0100000015c00000000000000000000000ffff \
    0a00000900000000000000000000ffff0a0000010000000018080000000000000000000000000000000000000000000026625d0005000800 \
    0000000008000f00000000000c00150001000000000000000600160012000000";

/// The end of a list.
const END: &str = "\
    1400000003000200000000000914000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn socket(state: State, local: (&str, u16), remote: (&str, u16), queues: (u32, u32)) -> Socket {
    let end = |(ip, port): (&str, u16)| Endpoint { ip: ip.parse().expect("an address"), port };
    let (receive_queue, send_queue) = queues;
    Socket { state, local: end(local), remote: end(remote), retransmits: 0, receive_queue, send_queue, uid: 0 }
}

#[cfg(target_endian = "little")]
#[test]
fn sockets_are_those_of_ss() {
    let mut sockets = Vec::new();
    let ends = [IPV4_LIST, IPV6_LIST, END].map(|datagram| take(&bytes(datagram), &mut sockets));
    assert_eq!(ends, [None, None, Some(0)]);
    let opening = socket(State::SynSent, ("10.0.0.9", 20), ("10.0.0.1", 50001), (0, 1));
    let expected = [
        socket(State::Established, ("10.0.0.1", 49152), ("10.0.0.9", 21), (7, 0)),
        Socket { retransmits: 1, ..opening },
        socket(State::Listen, ("::", 21), ("::", 0), (0, 5)),
        socket(State::Established, ("10.0.0.9", 21), ("10.0.0.1", 49152), (0, 0)),
    ];
    assert_eq!(sockets, expected);
}

#[cfg(target_endian = "little")]
#[test]
fn a_refusal_has_an_error_number() {
    let mut refused = bytes(END);
    refused[4] = 2;
    refused[16..20].copy_from_slice(&(-2_i32).to_ne_bytes());
    assert_eq!(take(&refused, &mut Vec::new()), Some(2));
}

#[cfg(target_endian = "little")]
#[test]
fn requests_name_states_and_ports() {
    let wanted = Wanted { states: &[State::SynSent, State::Listen], local_port: Some(20), remote_port: Some(50001) };
    let [ipv4, ipv6] = requests(&wanted);
    // nlmsghdr; AF_INET, IPPROTO_TCP; 1 << 2 | 1 << 10; ports
    let head = "48000000 1400 0103 0000000000000000  02 06 0000  04040000  0014 c351";
    assert_eq!((&ipv4[..28], &ipv4[28..]), (&bytes(head)[..], &[0; 44][..]));
    assert_eq!((ipv6[16], &ipv6[17..]), (10, &ipv4[17..]));
}

proptest! {
    #[test]
    fn no_list_breaks_it(
        changes in prop::collection::vec((0_usize..300, any::<u8>()), 0..6), cut in 0_usize..300, ipv6: bool,
    ) {
        let mut datagram = bytes(if ipv6 { IPV6_LIST } else { IPV4_LIST });
        for (at, value) in changes {
            let at = at % datagram.len();
            datagram[at] = value;
        }
        datagram.truncate(cut);
        let mut sockets = Vec::new();
        take(&datagram, &mut sockets);
        prop_assert!(sockets.len() <= datagram.len() / 20);
    }
}
