#include "cmd/status_report.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;
constexpr int kBarColumns = 20;
constexpr size_t kShortDigest = sizeof("sha256:") - 1 + 12;

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Rfc3339(const google::protobuf::Timestamp& time) {
  return absl::FormatTime(absl::RFC3339_sec, TimeOf(time), absl::UTCTimeZone());
}

std::string Shown(const std::string& text) { return absl::Utf8SafeCHexEscape(text); }

Json TextOrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }

std::string StageName(admin_v1::Fill::Stage stage) {
  switch (stage) {
    case admin_v1::Fill::QUEUED_FOR_DOWNLOAD:
      return "queued for download";
    case admin_v1::Fill::READING:
      return "reading";
    case admin_v1::Fill::SETTLING:
      return "settling";
    default:
      return "queued";
  }
}

// How fast a fill is, on average since it began to read, and how long it still takes.
struct Pace {
  std::optional<double> bytes_per_second;
  std::optional<double> seconds_left;
};

Pace PaceOf(const admin_v1::Fill& fill, absl::Time now) {
  Pace pace;
  const double seconds = absl::ToDoubleSeconds(now - TimeOf(fill.started_at()));
  if (fill.stage() != admin_v1::Fill::READING || seconds <= 0 || fill.bytes() <= 0) return pace;
  pace.bytes_per_second = static_cast<double>(fill.bytes()) / seconds;
  if (fill.total_bytes() > 0) {
    pace.seconds_left =
        static_cast<double>(std::max<int64_t>(0, fill.total_bytes() - fill.bytes())) / *pace.bytes_per_second;
  }
  return pace;
}

Json FillJson(const admin_v1::Fill& fill, absl::Time now) {
  const Pace pace = PaceOf(fill, now);
  return {{"image", TextOrNull(fill.image())},
          {"digest", TextOrNull(fill.digest())},
          {"stage", StageName(fill.stage())},
          {"strategy", TextOrNull(fill.strategy())},
          {"bytes", fill.bytes()},
          {"totalBytes", fill.total_bytes() > 0 ? Json(fill.total_bytes()) : Json()},
          {"startedAt", Rfc3339(fill.started_at())},
          {"bytesPerSecond", pace.bytes_per_second.has_value() ? Json(*pace.bytes_per_second) : Json()},
          {"secondsLeft", pace.seconds_left.has_value() ? Json(*pace.seconds_left) : Json()}};
}

Json ConfigurationJson(const admin_v1::Configuration& configuration) {
  Json stores = Json::array();
  for (const admin_v1::Store& store : configuration.stores()) {
    Json registries = Json::array();
    for (const std::string& registry : store.registries()) registries.push_back(registry);
    stores.push_back({{"kind", store.kind()}, {"path", store.path()}, {"registries", std::move(registries)}});
  }
  Json local = Json::array();
  for (const std::string& registry : configuration.local_registries()) local.push_back(registry);
  return {{"path", configuration.path()},
          {"stores", std::move(stores)},
          {"localRegistries", std::move(local)},
          {"hostsDir", configuration.hosts_dir()}};
}

std::string Bar(double part) {
  const int full = static_cast<int>(std::clamp(part, 0.0, 1.0) * kBarColumns);
  return absl::StrCat("[", std::string(full, '='), std::string(kBarColumns - full, ' '), "]");
}

std::string FillLine(const admin_v1::Fill& fill, absl::Time now) {
  std::string line = absl::StrCat("  ", fill.image().empty() ? "-" : Shown(fill.image()), "  ",
                                  Shown(fill.digest().substr(0, kShortDigest)), "  ");
  if (fill.stage() != admin_v1::Fill::READING) {
    absl::StrAppend(&line, fill.strategy().empty() ? "" : absl::StrCat(fill.strategy(), "  "), StageName(fill.stage()));
    return line;
  }
  absl::StrAppend(&line, fill.strategy(), "  ");
  if (fill.total_bytes() > 0) {
    const double part = static_cast<double>(fill.bytes()) / static_cast<double>(fill.total_bytes());
    absl::StrAppend(&line, Bar(part), absl::StrFormat(" %3.0f%%  ", std::min(1.0, part) * 100),
                    FormatBytes(fill.bytes()), " of ", FormatBytes(fill.total_bytes()));
  } else {
    absl::StrAppend(&line, FormatBytes(fill.bytes()));
  }
  const Pace pace = PaceOf(fill, now);
  if (pace.bytes_per_second.has_value()) {
    absl::StrAppend(&line, "  ", FormatBytes(static_cast<int64_t>(*pace.bytes_per_second)), "/s");
  }
  if (pace.seconds_left.has_value()) absl::StrAppendFormat(&line, "  %.0f s left", *pace.seconds_left);
  return line;
}

std::string StoreText(const admin_v1::Store& store) {
  return absl::StrCat(
      store.kind(), " ", Shown(store.path()),
      store.registries().empty() ? "" : absl::StrCat(" (", absl::StrJoin(store.registries(), ", "), ")"));
}

// "sluice: 3 active, 12 committed; other: 1 view"
std::string SnapshotsText(const admin_v1::StatusResponse& status) {
  std::map<std::string, std::vector<std::string>> by_name;
  for (const admin_v1::SnapshotCount& count : status.snapshots()) {
    by_name[count.snapshotter()].push_back(absl::StrCat(count.count(), " ", count.kind()));
  }
  std::vector<std::string> parts;
  for (const auto& [name, counts] : by_name) {
    parts.push_back(absl::StrCat(Shown(name), ": ", absl::StrJoin(counts, ", ")));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, "; ");
}

void AppendFills(const admin_v1::StatusResponse& status, absl::Time now, std::string& text) {
  absl::StrAppend(&text, "fills        ", status.fills_size() == 0 ? "none" : absl::StrCat(status.fills_size()), "\n");
  for (const admin_v1::Fill& fill : status.fills()) absl::StrAppend(&text, FillLine(fill, now), "\n");
}

// "layout provided 12, none mounts 3"
std::string PreparesText(const admin_v1::StatusResponse& status) {
  std::vector<std::string> parts;
  for (const admin_v1::PrepareCount& count : status.prepares()) {
    parts.push_back(absl::StrCat(count.strategy(), " ", count.outcome(), " ", count.count()));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, ", ");
}

// What was done since the daemon began.
void AppendCounts(const admin_v1::StatusResponse& status, std::string& text) {
  absl::StrAppend(&text, "prepares     ", PreparesText(status), "; waiting ", status.prepares_in_flight(), "\n");
  if (status.strategies().empty()) absl::StrAppend(&text, "so far       nothing\n");
  for (const admin_v1::StrategyCount& count : status.strategies()) {
    absl::StrAppend(&text, "so far       ", count.strategy(), ": ", count.layers(), " layers, ",
                    FormatBytes(count.bytes()), "\n");
  }
  for (const admin_v1::FallbackCount& fallback : status.fallbacks()) {
    absl::StrAppend(&text, "not held     ", fallback.strategy(), ": ", fallback.count(), " × ", fallback.reason(),
                    ", the last: ", Shown(fallback.last_message()), "\n");
  }
}

void AppendSpace(const admin_v1::StatusResponse& status, std::string& text) {
  const admin_v1::LayerTotals& layers = status.layers();
  absl::StrAppend(&text, "layers       ", layers.layers(), ", ", FormatBytes(layers.bytes()), "; unclaimed ",
                  layers.unclaimed_layers(), ", ", FormatBytes(layers.unclaimed_bytes()), "\n");
  if (!status.has_cache()) {
    absl::StrAppend(&text, "cache        none\n");
    return;
  }
  const admin_v1::Cache& cache = status.cache();
  absl::StrAppend(&text, "cache        ", cache.blobs(), " blobs, ", FormatBytes(cache.bytes()), " of ",
                  FormatBytes(cache.max_bytes()), ", ", Shown(cache.path()), "\n");
}

}  // namespace

Json StatusJson(const admin_v1::StatusResponse& status, absl::Time now) {
  Json json = {{"schema", kSchema},
               {"version", status.version()},
               {"root", status.root()},
               {"startedAt", Rfc3339(status.started_at())},
               {"configuration", ConfigurationJson(status.configuration())},
               {"containerd",
                {{"address", status.containerd().address()},
                 {"uuid", TextOrNull(status.containerd().uuid())},
                 {"refusal", TextOrNull(status.containerd().refusal())}}},
               {"fills", Json::array()},
               {"strategies", Json::array()},
               {"fallbacks", Json::array()},
               {"prepares", Json::array()},
               {"preparesInFlight", status.prepares_in_flight()},
               {"snapshots", Json::array()},
               {"layers",
                {{"count", status.layers().layers()},
                 {"bytes", status.layers().bytes()},
                 {"unclaimed", status.layers().unclaimed_layers()},
                 {"unclaimedBytes", status.layers().unclaimed_bytes()}}},
               {"cache", Json()}};
  for (const admin_v1::Fill& fill : status.fills()) json["fills"].push_back(FillJson(fill, now));
  for (const admin_v1::StrategyCount& count : status.strategies()) {
    json["strategies"].push_back(
        {{"strategy", count.strategy()}, {"layers", count.layers()}, {"bytes", count.bytes()}});
  }
  for (const admin_v1::FallbackCount& fallback : status.fallbacks()) {
    json["fallbacks"].push_back({{"strategy", fallback.strategy()},
                                 {"reason", fallback.reason()},
                                 {"count", fallback.count()},
                                 {"lastMessage", fallback.last_message()}});
  }
  for (const admin_v1::PrepareCount& count : status.prepares()) {
    json["prepares"].push_back(
        {{"strategy", count.strategy()}, {"outcome", count.outcome()}, {"count", count.count()}});
  }
  for (const admin_v1::SnapshotCount& count : status.snapshots()) {
    json["snapshots"].push_back(
        {{"snapshotter", count.snapshotter()}, {"kind", count.kind()}, {"count", count.count()}});
  }
  if (status.has_cache()) {
    json["cache"] = {{"path", status.cache().path()},
                     {"bytes", status.cache().bytes()},
                     {"blobs", status.cache().blobs()},
                     {"maxBytes", status.cache().max_bytes()}};
  }
  return json;
}

std::string StatusText(const admin_v1::StatusResponse& status, absl::Time now) {
  const absl::Duration up = absl::Trunc(now - TimeOf(status.started_at()), absl::Seconds(1));
  std::string text = absl::StrCat("daemon       containerd-sluice-grpc ", status.version(), ", up ",
                                  absl::FormatDuration(up), ", root ", Shown(status.root()), "\n");
  const admin_v1::Containerd& containerd = status.containerd();
  absl::StrAppend(&text, "containerd   ", Shown(containerd.address()), ", UUID ",
                  containerd.uuid().empty() ? "not known yet" : containerd.uuid(), "\n");
  if (!containerd.refusal().empty()) absl::StrAppend(&text, "refusing     ", Shown(containerd.refusal()), "\n");
  for (const admin_v1::Store& store : status.configuration().stores()) {
    absl::StrAppend(&text, "store        ", StoreText(store), "\n");
  }
  AppendFills(status, now, text);
  AppendCounts(status, text);
  absl::StrAppend(&text, "snapshots    ", SnapshotsText(status), "\n");
  AppendSpace(status, text);
  return text;
}

}  // namespace sluice
