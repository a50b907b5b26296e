// Debian's docker-registry, as a private process of a test.
#pragma once

#include <sys/types.h>

#include <string>

namespace sluice {

class DockerRegistry {
 public:
  // Serves the tree in `directory`/data on a free port of 127.0.0.1; several may share one. `http` is what stands below
  // "http:" in its configuration beside the address, `rest` any other section, as YAML in flow style, one per line.
  DockerRegistry(const std::string& directory, const std::string& http = "", const std::string& rest = "");
  // Kills it.
  ~DockerRegistry();
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;

  // "127.0.0.1:40123"
  const std::string& host() const { return host_; }
  // "127.0.0.1_40123_": its directory below containerd's certs.d.
  std::string HostsDirectory() const;
  // The file with a line for each request, such as «… "GET /v2/a/app/manifests/1 HTTP/2.0" 200 …».
  const std::string& access_log() const { return access_log_; }

 private:
  std::string host_;
  std::string access_log_;
  pid_t pid_ = -1;
};

}  // namespace sluice
