// What containerd's own code makes of directories of hosts.toml files: for each line "<hosts directory>\t<host>" of
// standard input one line "# <host>", then one for each place to ask, or "refused"; in the words of DescribeForPeer in
// registry/client/hosts_config_corpus.h.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/containerd/containerd/remotes/docker"
	"github.com/containerd/containerd/remotes/docker/config"
	"github.com/sirupsen/logrus"
)

func describe(host docker.RegistryHost) string {
	// As dockerBase.request in remotes/docker/resolver.go puts the URL together.
	line := strings.TrimSuffix(host.Scheme+"://"+host.Host+path.Join("/", host.Path), "/")
	if !host.Capabilities.Has(docker.HostCapabilityPull) {
		line += " no-pull"
	}
	if !host.Capabilities.Has(docker.HostCapabilityResolve) {
		line += " no-resolve"
	}
	tls := host.Client.Transport.(*http.Transport).TLSClientConfig
	if tls.InsecureSkipVerify {
		line += " unverified"
	}
	if tls.RootCAs != nil {
		line += " ca"
	}
	if n := len(tls.Certificates); n > 0 {
		line += fmt.Sprintf(" clients=%d", n)
	}
	names := []string{}
	for name := range host.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range host.Header[name] {
			line += " header=" + name + ":" + strings.NewReplacer("\r", "\\r", "\n", "\\n").Replace(value)
		}
	}
	return line
}

func main() {
	logrus.SetOutput(io.Discard)
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		fields := strings.SplitN(input.Text(), "\t", 2)
		fmt.Printf("# %s\n", fields[1])
		options := config.HostOptions{HostDir: config.HostDirFromRoot(fields[0])}
		hosts, err := config.ConfigureHosts(context.Background(), options)(fields[1])
		if err != nil {
			fmt.Println("refused")
			continue
		}
		for _, host := range hosts {
			fmt.Println(describe(host))
		}
	}
}
