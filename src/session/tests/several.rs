//! One session as several taps saw it.

use super::*;
use crate::line::Place;
use crate::session::join::join;
use crate::session::place::Placing;

/// A capture that begins late or ends early has seen fewer bytes, which says nothing about where it was taken.
#[test]
fn taps_as_far_from_both_ends_keep_the_order_in_which_they_were_given() {
    let seen = |late: bool, early: bool| {
        let mut tap = Tap::new();
        let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
        let mut talk = match late {
            true => Talk { tap: &mut tap, client, server, next: [1024, 1033] },
            false => Talk::begin(&mut tap, 21),
        };
        if !late {
            talk.login();
        }
        talk.client("SYST\r\n").server("215 UNIX\r\n");
        if !early {
            talk.client("SITE A LONG COMMAND\r\n").server("500 no\r\n");
        }
        tap.views()
    };
    for (late, early) in [(true, false), (false, true), (true, true)] {
        for views in [[seen(late, early), seen(false, false)], [seen(false, false), seen(late, early)]] {
            let sessions = join(views.to_vec(), &[Placing::Open, Placing::Open]);
            let taps: Vec<usize> = sessions[0].sights.iter().map(|sight| sight.tap).collect();
            assert_eq!((sessions.len(), taps), (1, vec![0, 1]), "{late} {early}");
        }
    }
}

/// What a capture that begins late has of the second transfer is not taken for the first, as if a box had rewritten it.
#[test]
fn a_connection_of_the_second_transfer_is_its_own_where_a_capture_lacks_the_first() {
    let seen = |late: bool| {
        let mut tap = Tap::new();
        let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
        let said = ["PORT 10,0,0,1,195,80\r\nLIST\r\n", "200 ok\r\n150 go\r\n"].map(|said| said.len() as u32);
        let mut talk = match late {
            true => Talk { tap: &mut tap, client, server, next: [1024 + said[0], 1033 + said[1]] },
            false => Talk::begin(&mut tap, 21),
        };
        if !late {
            talk.login()
                .client("PORT 10,0,0,1,195,80\r\n")
                .server("200 ok\r\n")
                .client("LIST\r\n")
                .server("150 go\r\n");
        }
        talk.server("226 done\r\n").client("PORT 10,0,0,1,195,81\r\n").server("200 ok\r\n").client("LIST\r\n");
        if late {
            tap.send(end(SERVER, 20), end(CLIENT, 50_001), Flags::SYN, 5, 0, "");
        }
        tap.views()
    };
    let sessions = join(vec![seen(false), seen(true)], &[Placing::Open, Placing::Open]);
    let of: Vec<usize> = sessions[0].attempts.iter().map(|attempt| attempt.transfer).collect();
    assert_eq!((sessions.len(), of), (1, vec![1]));
}

#[test]
fn a_nat_changes_addresses_and_not_sequence_numbers() {
    let mut inside = Tap::new();
    Talk::begin(&mut inside, 21).login();
    let mut outside = Tap::new();
    outside.time += 3_600_000_000_000;
    let (client, server) = (end([198, 51, 100, 7], 61_000), end(SERVER, 21));
    outside.open(client, server);
    Talk { tap: &mut outside, client, server, next: [1000, 1000] }.login();
    let sessions =
        join(vec![inside.views(), outside.views()], &[Placing::Given(Place::Client), Placing::Given(Place::Server)]);
    assert_eq!(sessions.len(), 1);
    let offsets: Vec<i64> = sessions[0].sights.iter().map(|sight| sight.offset_ns.abs()).collect();
    assert!(offsets.contains(&0) && offsets.contains(&3_600_000_000_000), "{offsets:?}");
}

/// Client, NAT, server: a SYN at one tap, its answer at another, and both at a third.
#[test]
fn a_tap_that_sees_both_ends_joins_those_that_see_one() {
    let (inside, outside, server) = (end(CLIENT, 40_000), end([198, 51, 100, 7], 61_000), end(SERVER, 21));
    let seen = |client, syn: bool, syn_ack: bool| {
        let mut tap = Tap::new();
        if syn {
            tap.send(client, server, Flags::SYN, 999, 0, "");
        }
        if syn_ack {
            tap.send(server, client, Flags::SYN | Flags::ACK, 499, 1000, "");
        }
        tap.views()
    };
    let [syn, answer, both] = [seen(inside, true, false), seen(outside, false, true), seen(outside, true, true)];
    for taps in [[&syn, &answer, &both], [&syn, &both, &answer], [&both, &syn, &answer]] {
        let sessions = join(taps.map(Vec::clone).to_vec(), &[Placing::Open, Placing::Open, Placing::Open]);
        assert_eq!((sessions.len(), sessions[0].sights.iter().flat_map(|sight| &sight.view).count()), (1, 3));
    }
}

/// Of two connections with the same ports, one is seen whole and of each the half that it does not share with the other.
#[test]
fn half_a_view_does_not_join_two_connections_with_the_same_ports() {
    let (client, server) = (end(CLIENT, 40_000), end(SERVER, 21));
    let mut first = Tap::new();
    first.open(client, server);
    let mut answer = Tap::new();
    answer.send(server, client, Flags::SYN | Flags::ACK, 4_000_000, 8_000_000, "");
    let mut syn = Tap::new();
    syn.send(client, server, Flags::SYN, 999, 0, "");
    let views = vec![first.views(), answer.views(), syn.views()];
    let sessions = join(views, &[Placing::Open, Placing::Open, Placing::Open]);
    let seen: Vec<usize> =
        sessions.iter().map(|session| session.sights.iter().flat_map(|sight| &sight.view).count()).collect();
    assert_eq!(seen, [2, 1]);
}

#[test]
fn sessions_of_one_pair_of_ports_and_other_sequence_numbers_are_not_joined() {
    let mut one = Tap::new();
    Talk::begin(&mut one, 21).login();
    let mut other = Tap::new();
    other.send(end(CLIENT, 40_000), end(SERVER, 21), Flags::SYN, 4_000_000, 0, "");
    let sessions =
        join(vec![one.views(), other.views()], &[Placing::Given(Place::Client), Placing::Given(Place::Server)]);
    assert_eq!(sessions.len(), 2);
}
