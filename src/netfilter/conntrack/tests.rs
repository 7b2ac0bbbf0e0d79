use proptest::prelude::*;

use super::*;

// Recorded on Linux 6.18, little endian: an active session in which the host is both client, 10.0.0.1, and server, 10.0.0.9; the
// client connects to 10.0.0.1:21, which is translated to 10.0.0.9:21. The client's port 50000 is closed.

/// The control connection begins.
const BEGUN: &str = "\
    d0000000000100060000000000000000020000003400018014000180080001000a000001080002000a0000011c0002800500010006000000 \
    06000200c000000006000300001500003400028014000180080001000a000009080002000a0000011c000280050001000600000006000200 \
    0015000006000300c000000008000c00e651a84208000300000021a80800070000000078300004802c000180050001000100000005000200 \
    0a0000000500030000000000060004000300000006000500000000000c0005800800010066747000";

/// It is established.
const ESTABLISHED: &str = "\
    d0000000000100000000000000000000020000003400018014000180080001000a000001080002000a0000011c0002800500010006000000 \
    06000200c000000006000300001500003400028014000180080001000a000009080002000a0000011c000280050001000600000006000200 \
    0015000006000300c000000008000c00e651a84208000300000021ae0800070000069780300004802c000180050001000300000005000200 \
    0a000000050003000a000000060004002300000006000500230000000c0005800800010066747000";

/// The data connection is expected.
const EXPECTED: &str = "\
    30010000000200060000000000000000020000003400028014000180080001000a000009080002000a0000011c0002800500010006000000 \
    060002000000000006000300c3500000340003801400018008000100ffffffff08000200ffffffff1c000280050001000600000006000200 \
    0000000006000300ffff00003400018014000180080001000a000001080002000a0000011c000280050001000600000006000200c0000000 \
    060003000015000040000a8008000100000000013400028014000180080001000000000008000200000000001c0002800500010006000000 \
    06000200c35000000600030000000000080004000000012c08000500f5870a7b080008000000000008000900000000000800060066747000 \
    16000b006e61742d666f6c6c6f772d6d6173746572000000";

/// That is over: it was found.
const FOUND: &str = "\
    30010000020200000000000000000000020000003400028014000180080001000a000009080002000a0000011c0002800500010006000000 \
    060002000000000006000300c3500000340003801400018008000100ffffffff08000200ffffffff1c000280050001000600000006000200 \
    0000000006000300ffff00003400018014000180080001000a000001080002000a0000011c000280050001000600000006000200c0000000 \
    060003000015000040000a8008000100000000013400028014000180080001000000000008000200000000001c0002800500010006000000 \
    06000200c35000000600030000000000080004000000012c08000500f5870a7b080008000000000008000900000000000800060066747000 \
    16000b006e61742d666f6c6c6f772d6d6173746572000000";

/// The data connection begins.
const DATA: &str = "\
    f8000000000100060000000000000000020000003400018014000180080001000a000009080002000a0000011c0002800500010006000000 \
    060002000014000006000300c35000003400028014000180080001000a000001080002000a0000011c000280050001000600000006000200 \
    c3500000060003000014000008000c009e6680fb08000300000001990800070000000078300004802c000180050001000100000005000200 \
    0a00000005000300000000000600040003000000060005000000000034000e8014000180080001000a000001080002000a0000011c000280 \
    050001000600000006000200c00000000600030000150000";

/// It was reset.
const DATA_GONE: &str = "\
    a4000000020100000000000000000000020000003400018014000180080001000a000009080002000a0000011c0002800500010006000000 \
    060002000014000006000300c35000003400028014000180080001000a000001080002000a0000011c000280050001000600000006000200 \
    c3500000060003000014000008000c009e6680fb08000300000003990800070000000078100004800c0001800500010008000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn read(hex: &str) -> Event {
    let told: Vec<Event> = events(Time(7), &bytes(hex)).collect();
    let [event] = &told[..] else { panic!("one event: {told:?}") };
    event.clone()
}

fn tuple(source: &str, destination: &str) -> Tuple {
    let end = |text: &str| {
        let (ip, port) = text.split_once(':').expect("address and port");
        Endpoint { ip: ip.parse().expect("an address"), port: port.parse().expect("a port") }
    };
    Tuple { source: end(source), destination: end(destination) }
}

/// As the client sent it.
fn control() -> Tuple {
    tuple("10.0.0.1:49152", "10.0.0.1:21")
}

#[cfg(target_endian = "little")]
#[test]
fn a_control_connection_is_followed_through_a_translation() {
    let begun = Tracked {
        time: Time(7),
        change: Change::New,
        original: control(),
        reply: tuple("10.0.0.9:21", "10.0.0.1:49152"),
        state: Some(State::SynSent),
        status: Status(0x21a8),
        timeout: Some(Duration::from_secs(120)),
        helper: Some("ftp".to_owned()),
        master: None,
    };
    assert!(begun.status.contains(Status::DST_NAT) && !begun.status.contains(Status::SRC_NAT));
    let established = Tracked {
        change: Change::Update,
        state: Some(State::Established),
        status: Status(0x21ae),
        timeout: Some(Duration::from_secs(432_000)),
        ..begun.clone()
    };
    assert_eq!((read(BEGUN), read(ESTABLISHED)), (Event::Tracked(begun), Event::Tracked(established)));
}

#[cfg(target_endian = "little")]
#[test]
fn what_a_helper_expects_is_told_and_that_it_was_found() {
    let expected = Expected {
        time: Time(7),
        change: Change::New,
        master: control(),
        tuple: tuple("10.0.0.9:0", "10.0.0.1:50000"),
        mask: tuple("255.255.255.255:0", "255.255.255.255:65535"),
        timeout: Some(Duration::from_secs(300)),
        helper: Some("ftp".to_owned()),
    };
    let found = Expected { change: Change::Destroy, ..expected.clone() };
    assert_eq!((read(EXPECTED), read(FOUND)), (Event::Expected(expected), Event::Expected(found)));
}

#[cfg(target_endian = "little")]
#[test]
fn a_connection_that_was_expected_names_its_master() {
    let Event::Tracked(data) = read(DATA) else { panic!("a connection") };
    assert_eq!((data.change, data.original), (Change::New, tuple("10.0.0.9:20", "10.0.0.1:50000")));
    assert_eq!((data.status.contains(Status::EXPECTED), data.master), (true, Some(control())));
    let Event::Tracked(gone) = read(DATA_GONE) else { panic!("a connection") };
    assert_eq!((gone.change, gone.original, gone.state), (Change::Destroy, data.original, Some(State::Close)));
}

#[cfg(target_endian = "little")]
#[test]
fn other_protocols_and_other_messages_are_left_out() {
    let with = |at: usize, value: u8| {
        let mut datagram = bytes(BEGUN);
        datagram[at] = value;
        events(Time(7), &datagram).count()
    };
    let (kind, subsystem, protocol) = (4, 5, 52);
    assert_eq!([with(protocol, 6), with(protocol, 17), with(kind, 1), with(subsystem, 10)], [1, 0, 0, 0]);
}

proptest! {
    #[test]
    fn no_message_breaks_it(
        which in 0_usize..6, changes in prop::collection::vec((0_usize..400, any::<u8>()), 0..6), cut in 0_usize..400,
    ) {
        let mut datagram = bytes([BEGUN, ESTABLISHED, EXPECTED, FOUND, DATA, DATA_GONE][which]);
        for (at, value) in changes {
            let at = at % datagram.len();
            datagram[at] = value;
        }
        datagram.truncate(cut);
        prop_assert!(events(Time(0), &datagram).count() <= datagram.len() / 16);
    }
}
