//! Policies on real packets, and bad input under traffic.

use std::fs;
use std::process::Command;

use palisade_testkit::{echo, wait_for};

use crate::lab::{Connection, Lab, PATIENCE, allow};

#[test]
fn policy_decides_what_connects_and_drops_name_their_line() {
    let mut lab = Lab::new(21, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let servers = [lab.at("pay", 8443), lab.at6("pay", 8443), lab.at("pay", 80)];
    let _servers = servers.map(|at| echo::Server::tcp(lab.pod("pay"), at).unwrap());
    for at in [lab.at("pay", 8443), lab.at6("pay", 8443)] {
        Connection::open(lab.pod("cart"), at).unwrap();
        assert!(Connection::open(lab.pod("web"), at).is_err());
    }
    assert!(Connection::open(lab.pod("cart"), lab.at("pay", 80)).is_err());
    let web = |line: &String| line.contains("shop/web:") && line.contains("shop/pay:8443");
    let dropped = "DROPPED (TCP Flags: SYN) by policies/pay.yaml:6";
    wait_for("the drop", PATIENCE, || {
        let flows = lab.flows();
        flows.iter().any(|line| web(line) && line.contains(dropped))
    })
    .unwrap();
    lab.end();
    assert!(!lab.folder.path().join("bpf").exists());
    assert!(!lab.node.ip("link").unwrap().contains("pal"));
}

#[test]
fn a_changed_policy_cuts_what_it_forbids_and_nothing_else() {
    let mut lab = Lab::new(22, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let _web = echo::Server::tcp(lab.pod("web"), lab.at("web", 80)).unwrap();
    let mut forbidden = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    let mut other = Connection::open(lab.pod("cart"), lab.at("web", 80)).unwrap();
    lab.apply("pay.yaml", &allow("pay", "web", 8443));
    assert!(forbidden.echo().is_err());
    other.echo().unwrap();
    Connection::open(lab.pod("web"), lab.at("pay", 8443)).unwrap();
}

#[test]
fn bad_input_under_traffic_leaves_traffic_and_revision_as_they_were() {
    let mut lab = Lab::new(23, &["cart", "pay", "web"]);
    let good = allow("pay", "cart", 8443);
    lab.write("pay.yaml", &good);
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let mut connection = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    let revision = lab.revision();
    let bad = [
        ("broken YAML", "spec: [".to_owned()),
        ("an unknown field", good.replace("toPorts", "toHarbours")),
        ("a port above 65535", good.replace("8443", "70000")),
    ];
    for (what, text) in bad {
        lab.write("pay.yaml", &text);
        wait_for(what, PATIENCE, || {
            lab.trouble().contains("policies/pay.yaml:")
        })
        .unwrap();
        assert!(lab.log().contains("what was in force stays"), "{what}");
        connection.echo().unwrap();
        Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
        assert!(Connection::open(lab.pod("web"), lab.at("pay", 8443)).is_err());
        lab.write("pay.yaml", &good);
        wait_for("no trouble", PATIENCE, || lab.trouble() == "[]").unwrap();
        assert_eq!(lab.revision(), revision, "{what}");
    }
}

#[test]
fn a_folder_that_disappears_takes_nothing_with_it() {
    let mut lab = Lab::new(24, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let mut connection = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    let revision = lab.revision();
    let elsewhere = lab.folder.path().join("elsewhere");
    fs::rename(lab.policies(), &elsewhere).unwrap();
    wait_for("the trouble", PATIENCE, || lab.trouble().contains("stays")).unwrap();
    connection.echo().unwrap();
    assert!(Connection::open(lab.pod("web"), lab.at("pay", 8443)).is_err());
    assert_eq!(lab.revision(), revision);
    // It is watched again once it is back.
    fs::rename(&elsewhere, lab.policies()).unwrap();
    wait_for("no trouble", PATIENCE, || lab.trouble() == "[]").unwrap();
    lab.apply("pay.yaml", &allow("pay", "web", 8443));
    assert!(connection.echo().is_err());
}

#[test]
fn an_endpoint_whose_namespace_goes_away_leaves_the_others_alone() {
    let mut lab = Lab::new(25, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let mut connection = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    let revision = lab.revision();
    let netns = lab.pod("web").path().to_owned();
    lab.remove_pod("web");
    wait_for("the removal", PATIENCE, || {
        lab.ask(&["endpoint", "list"]).as_array().unwrap().len() == 2
    })
    .unwrap();
    connection.echo().unwrap();
    Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    assert!(lab.trouble().contains("shop/web"));
    assert_eq!(lab.revision(), revision);
    let identities = lab.ask(&["identity", "list"]).to_string();
    assert!(!identities.contains("k8s:app=web"), "{identities}");
    // Should it come back under its name, it is an endpoint again.
    lab.bring_back("web", &netns);
    wait_for("the return", PATIENCE, || lab.trouble() == "[]").unwrap();
    assert!(Connection::open(lab.pod("web"), lab.at("pay", 8443)).is_err());
    drop(fs::remove_file(netns));
}

#[test]
fn a_killed_agent_comes_back_without_a_connection_lost() {
    let mut lab = Lab::new(26, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let mut connection = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    let (endpoints, identities) = (["endpoint", "list"], ["identity", "list"]);
    let before = (lab.ask(&endpoints), lab.ask(&identities), lab.revision());
    lab.kill();
    connection.echo().unwrap();
    assert!(Connection::open(lab.pod("web"), lab.at("pay", 8443)).is_err());
    lab.start();
    assert_eq!(lab.ask(&["status"])["datapath"]["found"], "adopted");
    connection.echo().unwrap();
    assert!(Connection::open(lab.pod("web"), lab.at("pay", 8443)).is_err());
    let after = (lab.ask(&endpoints), lab.ask(&identities), lab.revision());
    assert_eq!(after, before);
    // What changed meanwhile is noticed.
    lab.kill();
    lab.write("pay.yaml", &allow("pay", "web", 8443));
    connection.echo().unwrap();
    lab.start();
    wait_for("the new revision", PATIENCE, || lab.revision() > before.2).unwrap();
    assert!(connection.echo().is_err());
}

#[test]
fn an_agent_killed_at_any_moment_of_a_change_loses_no_connection_and_no_change() {
    let mut lab = Lab::new(51, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let _web = echo::Server::tcp(lab.pod("web"), lab.at("web", 80)).unwrap();
    let mut connection = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    for moment in 0..12 {
        let open = moment % 2 == 0;
        let port = if open { 80 } else { 81 };
        let before = lab.revision();
        lab.write("web.yaml", &allow("web", "pay", port));
        // Before the change is noticed, in the middle of it, and after it.
        for _ in 0..moment {
            connection.echo().unwrap();
            if lab.revision() > before {
                break;
            }
        }
        lab.kill();
        connection.echo().unwrap();
        lab.start();
        connection.echo().unwrap();
        // An agent that comes back answers before it has noticed what changed meanwhile.
        let reached = || Connection::open(lab.pod("pay"), lab.at("web", 80)).is_ok();
        wait_for("the change", PATIENCE, || reached() == open).unwrap();
        assert_eq!(reached(), open, "at moment {moment}");
    }
}

#[test]
fn a_broken_folder_at_a_restart_leaves_what_was_in_force() {
    let mut lab = Lab::new(27, &["cart", "pay", "web"]);
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    lab.kill();
    lab.write("pay.yaml", "spec: [");
    lab.start();
    wait_for("the trouble", PATIENCE, || {
        lab.trouble().contains("pay.yaml")
    })
    .unwrap();
    Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    assert!(Connection::open(lab.pod("web"), lab.at("pay", 8443)).is_err());
}

#[test]
fn a_first_start_with_broken_policies_is_refused_with_the_place() {
    let lab = Lab::new(28, &["pay"]);
    lab.write("pay.yaml", "spec: [");
    let output = lab.start_in_vain();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("policies/pay.yaml:"), "{said}");
    assert!(!lab.node.ip("link").unwrap().contains("pal"));
}

#[test]
fn two_nodes_run_side_by_side() {
    let mut one = Lab::new(29, &["cart", "pay"]);
    let mut other = Lab::new(30, &["cart", "pay"]);
    one.write("pay.yaml", &allow("pay", "cart", 8443));
    other.write("pay.yaml", &allow("pay", "nobody", 8443));
    one.start();
    other.start();
    let server = |lab: &Lab| echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let _servers = (server(&one), server(&other));
    let mut connection = Connection::open(one.pod("cart"), one.at("pay", 8443)).unwrap();
    assert!(Connection::open(other.pod("cart"), other.at("pay", 8443)).is_err());
    other.end();
    connection.echo().unwrap();
}

#[test]
fn audit_mode_reports_what_it_lets_pass() {
    let mut lab = Lab::new(31, &["pay", "web"]).with("mode: audit\n");
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    Connection::open(lab.pod("web"), lab.at("pay", 8443)).unwrap();
    wait_for("the report", PATIENCE, || {
        let flows = lab.flows();
        flows
            .iter()
            .any(|line| line.contains("AUDIT") && line.contains("policies/pay.yaml:6"))
    })
    .unwrap();
}

#[test]
fn what_is_kept_is_taken_over_and_another_layout_is_refused() {
    let mut lab = Lab::new(32, &["cart", "pay"]).with("on-exit: keep\n");
    lab.write("pay.yaml", &allow("pay", "cart", 8443));
    lab.start();
    let _pay = echo::Server::tcp(lab.pod("pay"), lab.at("pay", 8443)).unwrap();
    let mut connection = Connection::open(lab.pod("cart"), lab.at("pay", 8443)).unwrap();
    lab.end();
    connection.echo().unwrap();
    lab.start();
    connection.echo().unwrap();
    lab.end();
    let strange = lab.folder.path().join("bpf/maps/policy_v0");
    fs::create_dir(&strange).unwrap();
    let output = lab.start_in_vain();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("palisade agent --clear"), "{said}");
    connection.echo().unwrap();
    fs::remove_dir(&strange).unwrap();
}

#[test]
fn a_second_agent_on_a_node_is_refused() {
    let mut lab = Lab::new(33, &["pay"]);
    lab.start();
    let output = lab.start_in_vain();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another agent runs this node"), "{said}");
    lab.ask(&["status"]);
}

#[test]
fn only_root_reaches_the_socket() {
    let mut lab = Lab::new(34, &["pay"]);
    lab.start();
    let socket = lab.folder.path().join("socket");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Even where the file mode were no obstacle.
    let open = Command::new("chmod")
        .args(["-R", "o+rwx"])
        .arg(lab.folder.path())
        .status();
    assert!(open.unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(env!("CARGO_BIN_EXE_palisade"));
    command.arg("status").arg("--socket").arg(&socket);
    let output = command.output().unwrap();
    assert!(!output.status.success());
}
