// The daemon's configuration with every key at its default, as a file to begin with. A key that is off, or has no
// default that could be written, is a comment.
#pragma once

namespace sluice {

inline constexpr char kDefaultConfig[] =
    R"toml(# containerd-sluice-grpc: docs/configuration.md says what each key means. All of them are optional.

# Where a registry on this host keeps its blobs; as often as you like.
# [[store]]
# kind = "distribution"                    # oci-layout | zot | distribution
# path = "/var/lib/docker-registry"
# registries = ["172.30.0.1:5000"]         # whose tags it holds
# require_link = false                     # only what the image's own repository has; zot and distribution

[registry]
local_registries = []                      # beside private addresses: host, host:port, *.suffix, network
hosts_dir = "/etc/containerd/certs.d"
plain_http_credentials = []                # hosts that may be shown a password over plain http
# docker_config = "/root/.docker"          # directory of config.json; default: DOCKER_CONFIG, else HOME/.docker
max_downloads = 4                          # layers at once, of all registries

# The first whose hosts match holds; as often as you like.
# [[registry.policy]]
# hosts = ["*.example.com"]
# strategies = ["layout", "stream", "cached"]
# max_downloads = 0                        # at once; 0: no bound of its own
# max_bytes_per_second = 0                 # 0: no bound

[containerd]
address = "/run/containerd/containerd.sock"
content = "none"                           # or "backfill": bring containerd the blobs that it skipped, after the pull

[unpack]
workers = 0                                # 0: as many as there are cores
sync = "background"                        # or "commit": on the disk before containerd hears of it

[cache]
# max_bytes = "20GiB"                      # default: that, or a tenth of the file system if it is less
min_free = "1GiB"                          # what is left free
min_free_inodes = 10000

[metrics]
# address = "127.0.0.1:9464"               # for Prometheus; default: none
)toml";

}  // namespace sluice
