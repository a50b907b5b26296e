#include "registry/client/registry_client.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "registry/client/blob_reader.h"
#include "registry/client/endpoint_rounds.h"
#include "registry/client/hosts_config.h"
#include "registry/client/http_client.h"
#include "registry/manifest.h"

namespace sluice {
namespace {

constexpr char kAcceptManifests[] =
    "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, "
    "*/*;q=0.1";

// It becomes part of a URL, and may come from a label that anybody can write.
absl::Status CheckRepository(absl::string_view repository) {
  for (const absl::string_view component : absl::StrSplit(repository, '/')) {
    const bool plain = std::all_of(component.begin(), component.end(),
                                   [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; });
    if (!plain || component.empty() || component == "." || component == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("repository \"", absl::CHexEscape(repository.substr(0, 200)), "\": not a name"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDigest(const std::string& body, const Digest& expected) {
  const Digest actual = Digest::Of(body);
  if (actual == expected) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the body has digest ", actual.ToString(), " instead of ", expected.ToString()));
}

// The whole body of an answer, checked against `digest` or, without one, against what the registry announces.
absl::StatusOr<std::string> ReadVerified(const HttpClient& http, HttpStream& stream, int64_t max_bytes,
                                         const std::optional<Digest>& digest) {
  if (stream.status() != 200) {
    return absl::FailedPreconditionError(absl::StrCat("HTTP status ", stream.status(), " though all was asked for"));
  }
  ASSIGN_OR_RETURN(std::string body, http.ReadDocument(stream, max_bytes));
  if (digest.has_value()) {
    RETURN_IF_ERROR(CheckDigest(body, *digest));
  } else if (const absl::StatusOr<Digest> announced = Digest::Parse(stream.head().Last("docker-content-digest"));
             announced.ok()) {
    RETURN_IF_ERROR(CheckDigest(body, *announced));
  }
  return body;
}

HttpClientOptions HttpOptions(const RegistryClientOptions& options) {
  return {options.stall_timeout, options.document_timeout, options.max_redirects, options.max_connections};
}

}  // namespace

RegistryClient::RegistryClient(LocalityRules rules, RegistryClientOptions options)
    : retry_(options.retry),
      clock_(options.clock == nullptr ? RetryClock::Real() : options.clock),
      endpoints_({rules, options.plain_http_credentials, options.hosts_dir, options.connect_timeout},
                 [warn = options.on_ignored_hosts](const std::string& dir, absl::string_view host) {
                   absl::Status ignored;
                   auto configured = LoadHostsConfig(dir, host, &ignored);
                   if (!ignored.ok() && warn) warn(ignored);
                   return configured;
                 }),
      client_(std::make_shared<EndpointClient>(std::make_shared<HttpClient>(rules, HttpOptions(options)),
                                               options.credentials, clock_)) {}

absl::StatusOr<FetchedManifest> RegistryClient::FetchManifest(const Reference& reference,
                                                              const Cancellation* cancellation) const {
  const std::string version = reference.digest.has_value() ? reference.digest->ToString() : reference.tag;
  ASSIGN_OR_RETURN(std::vector<EndpointSchemes> endpoints, endpoints_.Of(reference.host));
  if (!reference.digest.has_value()) {
    std::erase_if(endpoints, [](const EndpointSchemes& schemes) { return !schemes.front().can_resolve; });
    if (endpoints.empty()) {
      return absl::NotFoundError(
          absl::StrCat("registry ", reference.host, ": its hosts.toml lets no endpoint resolve a tag"));
    }
  }
  absl::StatusOr<std::string> body =
      FetchDocument(endpoints, reference.repository, absl::StrCat("manifests/", version), {kAcceptManifests},
                    kMaxManifestBytes, reference.digest, cancellation);
  if (!body.ok()) return body.status();
  const absl::StatusOr<std::variant<Manifest, Index>> parsed = ParseManifestOrIndex(*body);
  if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat(reference.ToString(), ": answer of the registry"));

  FetchedManifest fetched;
  fetched.descriptor.media_type = std::visit([](const auto& document) { return document.media_type; }, *parsed);
  fetched.descriptor.digest = Digest::Of(*body);
  fetched.descriptor.size = static_cast<int64_t>(body->size());
  fetched.bytes = *std::move(body);
  return fetched;
}

absl::StatusOr<std::string> RegistryClient::FetchBlobDocument(absl::string_view host, absl::string_view repository,
                                                              const Digest& digest, int64_t max_bytes,
                                                              const Cancellation* cancellation) const {
  ASSIGN_OR_RETURN(const std::vector<EndpointSchemes> endpoints, endpoints_.Of(host));
  return FetchDocument(endpoints, repository, absl::StrCat("blobs/", digest.ToString()), {}, max_bytes, digest,
                       cancellation);
}

absl::StatusOr<std::unique_ptr<ByteReader>> RegistryClient::OpenBlob(absl::string_view host,
                                                                     absl::string_view repository,
                                                                     const BlobRequest& blob,
                                                                     const Cancellation* cancellation) const {
  RETURN_IF_ERROR(CheckRepository(repository));
  if (blob.offset < 0 || blob.size.value_or(blob.offset) < blob.offset) {
    return absl::InvalidArgumentError(
        absl::StrCat("blob ", blob.digest.Short(), ": asked for from byte ", blob.offset, " on, beyond its end"));
  }
  BlobLocation location;
  location.repository = std::string(repository);
  location.path = absl::StrCat("blobs/", blob.digest.ToString());
  ASSIGN_OR_RETURN(location.endpoints, endpoints_.Of(host));
  auto reader =
      std::make_unique<BlobReader>(client_, clock_, retry_, std::move(location), blob.size, blob.offset, cancellation);
  RETURN_IF_ERROR(reader->Open());
  return std::unique_ptr<ByteReader>(std::move(reader));
}

absl::StatusOr<std::string> RegistryClient::FetchDocument(const std::vector<EndpointSchemes>& endpoints,
                                                          absl::string_view repository, const std::string& path,
                                                          const std::vector<std::string>& headers, int64_t max_bytes,
                                                          const std::optional<Digest>& digest,
                                                          const Cancellation* cancellation) const {
  RETURN_IF_ERROR(CheckRepository(repository));
  Attempts attempts(retry_, *clock_, cancellation);
  absl::StatusOr<std::string> document;
  while (true) {
    const absl::Status status = AskInTurn(endpoints, 0, [&](size_t index) -> absl::Status {
      ASSIGN_OR_RETURN(const std::unique_ptr<HttpStream> stream,
                       client_->Get(endpoints[index], repository, path, headers, cancellation));
      document = ReadVerified(client_->http(), *stream, max_bytes, digest);
      return Annotate(document.status(), absl::StrCat("GET ", stream->url().ForMessages()));
    });
    if (status.ok()) return document;
    RETURN_IF_ERROR(attempts.Again(status));
  }
}

}  // namespace sluice
