// One GET at one endpoint of a registry: its scheme found, its challenge answered.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/cancellation.h"
#include "base/mutex.h"
#include "registry/client/authorizer.h"
#include "registry/client/endpoints.h"
#include "registry/client/http_client.h"
#include "registry/client/retry_clock.h"

namespace sluice {

// Thread-safe.
class EndpointClient {
 public:
  EndpointClient(std::shared_ptr<const HttpClient> http, std::shared_ptr<const CredentialSource> credentials,
                 std::shared_ptr<const RetryClock> clock);

  const HttpClient& http() const { return *http_; }

  // GET <endpoint>/<repository>/<path>, at the first of `schemes` that is spoken; which one that was is remembered. The
  // answer has status 200, 206 or 416. Errors as StatusError, HttpStream and Authorizer have them, naming the URL.
  absl::StatusOr<std::unique_ptr<HttpStream>> Get(const EndpointSchemes& schemes, absl::string_view repository,
                                                  absl::string_view path, const std::vector<std::string>& headers,
                                                  const Cancellation* cancellation);

 private:
  absl::StatusOr<std::unique_ptr<HttpStream>> GetFrom(const RegistryEndpoint& endpoint, absl::string_view repository,
                                                      absl::string_view path, const std::vector<std::string>& headers,
                                                      const Cancellation* cancellation);

  const std::shared_ptr<const HttpClient> http_;
  const std::shared_ptr<const RetryClock> clock_;
  Authorizer authorizer_;
  Mutex mutex_;
  // Which of its schemes an endpoint answered to last, by the usual one's URL.
  std::map<std::string, size_t> spoken_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
