// Package xdp puts a compiled policy in front of the network stack: it loads the
// firewall's program, pins program, links and maps so that they outlive the
// process, attaches to devices, and keeps the lists of sources. Policies and
// addresses go in; verdict counts come out. cmd/bearcat calls it. Nothing needs to
// run for the firewall to go on filtering.
package xdp
