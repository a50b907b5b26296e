#include "snapshotter/fill/layer_sources.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "glog/logging.h"
#include "snapshotter/fill/image_origin.h"

namespace sluice {
namespace {

constexpr absl::Duration kOutage = absl::Seconds(30);
// Somebody may just be logging in.
constexpr absl::Duration kRefusal = absl::Seconds(5);
constexpr size_t kSkipBytes = 1 << 20;
// For asking containerd whether it has a blob.
constexpr absl::Duration kContentTimeout = absl::Seconds(1);

std::string Place(absl::string_view store, absl::string_view kind) {
  return absl::StrCat("store=", store, " kind=", kind);
}

void WarnNotUsed(absl::string_view what, const absl::Status& reason) {
  LOG(WARNING) << "not used: " << what << ": " << reason.message();
}

bool IsRefusal(const absl::Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status);
}
bool IsOutage(const absl::Status& status) { return IsRefusal(status) || absl::IsUnavailable(status); }

bool IsAboutContent(const absl::Status& status) { return absl::IsDataLoss(status) || absl::IsInvalidArgument(status); }

// Reads the first `count` bytes past.
absl::Status Skip(ByteReader& reader, int64_t count, const Cancellation& cancellation) {
  std::vector<char> skipped(kSkipBytes);
  while (count > 0) {
    RETURN_IF_ERROR(cancellation.Check());
    const size_t wanted = std::min(static_cast<size_t>(count), skipped.size());
    ASSIGN_OR_RETURN(const size_t got, reader.Read(absl::MakeSpan(skipped.data(), wanted)));
    if (got == 0) return absl::DataLossError(absl::StrCat("it ends ", count, " bytes too early"));
    count -= static_cast<int64_t>(got);
  }
  return absl::OkStatus();
}

std::string NameOf(const Endpoint& endpoint) { return absl::StrCat(endpoint.host, "/", endpoint.repository); }

std::string NamesOf(absl::Span<const Endpoint> endpoints) {
  return absl::StrJoin(endpoints, ", ",
                       [](std::string* out, const Endpoint& endpoint) { absl::StrAppend(out, NameOf(endpoint)); });
}

}  // namespace

// One call of Find().
class LayerSources::Search {
 public:
  Search(LayerSources& sources, const LayerWanted& wanted, const Cancellation& cancellation)
      : sources_(sources), options_(sources.options_), wanted_(wanted), cancellation_(cancellation) {
    for (const Endpoint& endpoint : wanted.endpoints) {
      const AllowedStrategies& allowed = options_.policies.For(endpoint.host).allowed;
      if (!allowed.stream && !allowed.cached) continue;
      const bool local = options_.locality.Classify(endpoint.host) == Locality::kLocal;
      (local ? local_endpoints_ : remote_endpoints_).push_back(endpoint);
    }
  }

  Offers Run() {
    LocalBlobs::Found stored = sources_.local_.Open(wanted_.blobs, wanted_.endpoints);
    found_.rejection = std::move(stored.rejection);
    FindCopies(stored.blobs.empty());

    LayerSituation situation;
    situation.plan_known = !wanted_.blobs.empty();
    situation.locality = wanted_.locality;
    situation.in_store = !stored.blobs.empty();
    situation.in_own_copy = !copies_.empty();
    situation.local_endpoint = options_.open_remote != nullptr && !local_endpoints_.empty();
    situation.remote_endpoint = options_.open_remote != nullptr && !remote_endpoints_.empty();
    if (!wanted_.endpoints.empty()) situation.allowed = options_.policies.For(wanted_.endpoints[0].host).allowed;
    for (const Rung& rung : StrategyLadder(situation)) AddOffers(rung, stored.blobs);
    found_.reason = Reason(situation);
    found_.cause = Cause(situation);
    return std::move(found_);
  }

 private:
  void FindCopies(bool ask_containerd) {
    for (const PlannedBlob& blob : wanted_.blobs) {
      if (options_.cache != nullptr && options_.cache->Contains(blob.digest, blob.size)) AddCacheCopy(blob);
    }
    if (!ask_containerd || !copies_.empty() || options_.content_store == nullptr) return;
    for (const PlannedBlob& blob : wanted_.blobs) {
      const absl::Time deadline = absl::Now() + kContentTimeout;
      if (options_.content_store->HasBlob(wanted_.containerd_namespace, blob.digest, blob.size, deadline)) {
        AddContentCopy(blob);
      }
    }
  }

  void AddCacheCopy(const PlannedBlob& blob) {
    BlobCache* const cache = options_.cache;
    LayerOffer offer;
    offer.blob = blob;
    offer.place = Place(cache->path(), "cache");
    offer.open = [cache, blob] { return cache->OpenBlob(blob.digest, blob.size); };
    offer.reject = [cache, blob](const absl::Status& reason) {
      WarnNotUsed(absl::StrCat(cache->path(), ": blob ", blob.digest.ToString()), reason);
      if (!IsAboutContent(reason)) return;
      const absl::Status dropped = cache->Drop(blob.digest);
      if (!dropped.ok()) LOG(WARNING) << "cache: " << dropped.message();
    };
    copies_.push_back(std::move(offer));
  }

  void AddContentCopy(const PlannedBlob& blob) {
    LayerOffer offer;
    offer.blob = blob;
    offer.place = Place("containerd", "content");
    offer.open = [this_store = options_.content_store, blob, containerd_namespace = wanted_.containerd_namespace,
                  cancellation = &cancellation_] {
      return this_store->OpenBlob(containerd_namespace, blob.digest, cancellation);
    };
    offer.reject = [blob](const absl::Status& reason) {
      WarnNotUsed(absl::StrCat("blob ", blob.digest.ToString(), " of containerd's content store"), reason);
    };
    copies_.push_back(std::move(offer));
  }

  void AddOffers(const Rung& rung, std::vector<LocalBlob>& stored) {
    const size_t first = found_.offers.size();
    switch (rung.source) {
      case BlobSource::kStore:
        for (LocalBlob& blob : stored) AddStored(std::move(blob));
        SkipFrom(first);
        break;
      case BlobSource::kOwnCopy:
        for (LayerOffer& copy : copies_) found_.offers.push_back(std::move(copy));
        SkipFrom(first);
        break;
      case BlobSource::kLocalRegistry:
        AddDownloads(rung.strategy, local_endpoints_);
        break;
      case BlobSource::kRemoteRegistry:
        AddDownloads(rung.strategy, remote_endpoints_);
        break;
      case BlobSource::kNone:
        break;
    }
    for (size_t i = first; i < found_.offers.size(); ++i) {
      found_.offers[i].strategy = rung.strategy;
      found_.offers[i].source = rung.source;
    }
  }

  // The offers from `first` on, whose readers begin at the blob's first byte, begin at the wanted one.
  void SkipFrom(size_t first) {
    if (wanted_.offset == 0) return;
    for (size_t i = first; i < found_.offers.size(); ++i) {
      auto& open = found_.offers[i].open;
      open = [whole = std::move(open), offset = wanted_.offset,
              cancellation = &cancellation_]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
        ASSIGN_OR_RETURN(std::unique_ptr<ByteReader> reader, whole());
        RETURN_IF_ERROR(Skip(*reader, offset, *cancellation));
        return reader;
      };
    }
  }

  // The file that was found is the one that is read, whatever happens to its name meanwhile.
  void AddStored(LocalBlob found) {
    const auto blob = std::make_shared<LocalBlob>(std::move(found));
    LayerOffer offer;
    offer.blob = blob->blob;
    offer.place = Place(blob->store->name(), blob->store->kind());
    offer.open = [blob, origins = wanted_.endpoints]() -> absl::StatusOr<std::unique_ptr<ByteReader>> {
      if (blob->reader != nullptr) return std::move(blob->reader);
      return blob->store->OpenBlob(blob->blob.digest, blob->blob.size, origins);
    };
    offer.reject = [blob, local = &sources_.local_](const absl::Status& reason) { local->Reject(*blob, reason); };
    found_.offers.push_back(std::move(offer));
  }

  void AddDownloads(Strategy strategy, const std::vector<Endpoint>& endpoints) {
    for (const PlannedBlob& blob : wanted_.blobs) {
      LayerOffer offer;
      offer.blob = blob;
      offer.place = Place(NameOf(endpoints[0]), "registry");
      const auto fetch = [sources = &sources_, endpoints, blob, cancellation = &cancellation_](int64_t offset) {
        return sources->Download(endpoints, blob, offset, cancellation);
      };
      // Without its size nothing can be told from half of it.
      const bool cached = strategy == Strategy::kCached && wanted_.keep && wanted_.offset == 0 && blob.size.has_value();
      if (cached && options_.cache != nullptr) {
        offer.open = [cache = options_.cache, blob, fetch, cancellation = &cancellation_] {
          return cache->OpenOrFetch(blob.digest, *blob.size, fetch, cancellation);
        };
      } else {
        offer.open = [fetch, offset = wanted_.offset] { return fetch(offset); };
      }
      offer.reject = [sources = &sources_, endpoints, blob](const absl::Status& reason) {
        if (!sources->IsNews(endpoints, reason)) return;
        WarnNotUsed(absl::StrCat("blob ", blob.digest.ToString(), " of ", NamesOf(endpoints)), reason);
      };
      found_.offers.push_back(std::move(offer));
    }
  }

  FallbackReason Cause(const LayerSituation& situation) const {
    if (!situation.plan_known) return FallbackReason::kUnsupported;
    if (wanted_.endpoints.empty()) return FallbackReason::kUnknownRegistry;
    if (options_.open_remote == nullptr) return FallbackReason::kNoSource;
    if (!situation.local_endpoint && !situation.remote_endpoint) return FallbackReason::kForbidden;
    // A remote registry hardly listens elsewhere than at the usual port.
    const bool guessed =
        wanted_.locality == Locality::kLocal && !MendForUnknownPort(wanted_.endpoints, options_.locality).empty();
    return guessed ? FallbackReason::kUnknownRegistry : FallbackReason::kMissing;
  }

  std::string Reason(const LayerSituation& situation) const {
    const std::string image = wanted_.image.empty() ? "the image" : absl::StrCat("image ", wanted_.image);
    if (!situation.plan_known) return absl::StrCat("the layer of ", image, " is no tar, plain or gzip or zstd");
    std::string reason =
        absl::StrCat("blob ", wanted_.blobs[0].digest.ToString(), " of ", image, " is in no store on this host");
    if (const std::string stores = sources_.local_.Names(); !stores.empty())
      absl::StrAppend(&reason, " (", stores, ")");
    if (wanted_.endpoints.empty()) {
      absl::StrAppend(&reason,
                      ", and which port its registry listens on is not known: name the registry with its port in "
                      "registry.local_registries, or the directory of its blobs as [[store]], in config.toml");
    } else if (options_.open_remote == nullptr) {
      absl::StrAppend(&reason,
                      ": if its registry keeps its blobs on this host, add that directory as [[store]] to "
                      "config.toml");
    } else if (!situation.local_endpoint && !situation.remote_endpoint) {
      absl::StrAppend(&reason, ", and registry.policy forbids to download it from ", NamesOf(wanted_.endpoints));
    } else {
      absl::StrAppend(&reason, ", and could not be had from ", NamesOf(wanted_.endpoints));
      const std::string mend = MendForUnknownPort(wanted_.endpoints, options_.locality);
      if (!mend.empty()) absl::StrAppend(&reason, "; ", mend);
    }
    return reason;
  }

  LayerSources& sources_;
  const Options& options_;
  const LayerWanted& wanted_;
  const Cancellation& cancellation_;
  std::vector<Endpoint> local_endpoints_;
  std::vector<Endpoint> remote_endpoints_;
  std::vector<LayerOffer> copies_;
  Offers found_;
};

LayerSources::Offers LayerSources::Find(const LayerWanted& wanted, const Cancellation& cancellation) {
  return Search(*this, wanted, cancellation).Run();
}

absl::StatusOr<std::unique_ptr<ByteReader>> LayerSources::Download(absl::Span<const Endpoint> endpoints,
                                                                   const PlannedBlob& blob, int64_t offset,
                                                                   const Cancellation* cancellation) {
  absl::Status failure = absl::NotFoundError("no registry to ask");
  bool answered = false;
  for (const Endpoint& endpoint : endpoints) {
    // Behind a firewall a guessed port may take a whole connect timeout to say nothing.
    if (endpoint.port_is_guess && answered) continue;
    absl::StatusOr<std::unique_ptr<ByteReader>> reader = DownloadFrom(endpoint, blob, offset, cancellation);
    if (reader.ok() || absl::IsCancelled(reader.status())) return reader;
    // That one of them does not know the blob, or that nobody is at a port that was only guessed, says less than why
    // another could not be asked.
    const bool tells = !absl::IsNotFound(reader.status()) && !endpoint.port_is_guess;
    answered = answered || !absl::IsUnavailable(reader.status());
    if (absl::IsNotFound(failure) || tells) failure = reader.status();
  }
  return failure;
}

absl::StatusOr<std::unique_ptr<ByteReader>> LayerSources::DownloadFrom(const Endpoint& endpoint,
                                                                       const PlannedBlob& blob, int64_t offset,
                                                                       const Cancellation* cancellation) {
  RETURN_IF_ERROR(OutageOf(endpoint.host));
  const auto open = [&] { return options_.open_remote(endpoint, blob, offset, cancellation); };
  const std::shared_ptr<DownloadLimit>& limit = options_.policies.For(endpoint.host).limit;
  absl::StatusOr<std::unique_ptr<ByteReader>> reader = limit == nullptr ? open() : limit->Start(open, cancellation);
  if (reader.ok()) return reader;
  NoteOutage(endpoint.host, reader.status());
  // A strange answer is this registry's affair; to a fill the same code says that no other source will do.
  if (absl::IsFailedPrecondition(reader.status())) return absl::UnavailableError(reader.status().message());
  return reader;
}

absl::Status LayerSources::OutageOf(const std::string& host) {
  MutexLock lock(mutex_);
  const auto outage = outages_.find(host);
  if (outage == outages_.end() || outage->second.until < absl::Now()) return absl::OkStatus();
  return Annotate(outage->second.reason, "not asked again so soon");
}

void LayerSources::NoteOutage(const std::string& host, const absl::Status& reason) {
  if (!IsOutage(reason)) return;
  const absl::Time now = absl::Now();
  MutexLock lock(mutex_);
  Outage& outage = outages_[host];
  // The same trouble still, for an image whose layers take long.
  const bool warned = outage.warned && now < outage.until + kOutage;
  outage = {.until = now + (IsRefusal(reason) ? kRefusal : kOutage), .reason = reason, .warned = warned};
}

bool LayerSources::IsNews(absl::Span<const Endpoint> endpoints, const absl::Status& reason) {
  if (!IsOutage(reason)) return true;
  const absl::Time now = absl::Now();
  bool is_known = false;
  bool is_news = false;
  MutexLock lock(mutex_);
  for (const Endpoint& endpoint : endpoints) {
    const auto outage = outages_.find(endpoint.host);
    if (outage == outages_.end() || outage->second.until + kOutage < now) continue;
    is_known = true;
    is_news = is_news || !outage->second.warned;
    outage->second.warned = true;
  }
  return is_news || !is_known;
}

}  // namespace sluice
