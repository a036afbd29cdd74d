package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/bearcat-hids/bearcat/internal/firewall"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// database writes a database of countries into a file.
func (n *fwNet) database(file string, countries map[string]string) {
	n.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Country", IncludeReservedNetworks: true, RecordSize: 24})
	if err != nil {
		n.Fatal(err)
	}
	for network, code := range countries {
		_, at, err := net.ParseCIDR(network)
		if err == nil {
			err = tree.Insert(at, mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(code)}})
		}
		if err != nil {
			n.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		n.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		n.Fatal(err)
	}
}

// TestFwCountry drops by the country of the source, and by another one when the database
// has changed.
func TestFwCountry(t *testing.T) {
	n := newFwNet(t)
	n.listen(9000)
	n.fw("attach", "fws", "--mode", "generic", "--no-protection")
	file := filepath.Join(t.TempDir(), "country.mmdb")
	// so many that they go through each part of the tables
	countries := map[string]string{"10.77.0.0/30": "DE", "10.78.0.0/16": "FR", "fd77::/64": "FR"}
	for i := range 300 {
		countries[fmt.Sprintf("11.%d.%d.0/25", i, 2*i%256)] = "FR"
	}
	for i := 256; i < 300; i++ {
		delete(countries, fmt.Sprintf("11.%d.%d.0/25", i, 2*i%256))
	}
	n.database(file, countries)
	policy := n.file("databases: [" + file + "]\nrules: [{name: a, action: drop, match: {country: [DE], protocol: tcp}}, {name: b, action: count, not: {country: [FR]}}]")
	var said []firewall.Region
	if out := n.fw("apply", policy, "--json"); json.Unmarshal([]byte(out), &said) != nil || len(said) != 2 || said[0] != (firewall.Region{Name: "country DE", Prefixes: 1}) || said[1].Prefixes != 258 {
		t.Errorf("apply says %q", out)
	}
	n.want("of the country", v4a, false)
	n.want("of another", v6a, true)
	n.database(file, map[string]string{"10.77.0.0/30": "FR", "fd77::/64": "DE"})
	n.want("before it is applied again", v4a, false)
	n.fw("apply", policy)
	n.want("no longer of the country", v4a, true)
	n.want("now of the country", v6a, false)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	n.refused("reading the database", "apply", policy)
	n.want("after a mistake", v6a, false)
}
