#include "cmd/verb_cache.h"

#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "cmd/check.h"
#include "cmd/config.h"
#include "cmd/image_arguments.h"
#include "cmd/image_cache.h"
#include "cmd/image_result.h"
#include "cmd/terminal.h"
#include "registry/json.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;

struct CacheArguments {
  ImageArguments image;  // of "add"
  std::string cache;     // of the others
  std::string max_bytes;
  bool json = false;
};

absl::StatusOr<std::unique_ptr<BlobCache>> Open(const CacheArguments& arguments) {
  return OpenCache(arguments.cache, Config());
}

absl::Status Add(const CacheArguments& arguments, const VerbContext& context) {
  const auto start = std::chrono::steady_clock::now();
  ImageArguments wanted = arguments.image;
  wanted.needs_cache = true;
  ASSIGN_OR_RETURN(const OpenedImage opened, OpenImage(wanted, context));
  const ResolvedImage& image = opened.image;
  std::unique_ptr<ProgressBar> bar;
  if (StderrIsTerminal() && !arguments.json) bar = std::make_unique<ProgressBar>(BlobBytes(image));
  const absl::Status added = opened.source->AddToCache(
      image,
      [&bar](int64_t bytes) {
        if (bar != nullptr) bar->Add(bytes);
      },
      &context.cancellation);
  bar.reset();
  if (!added.ok()) return Annotate(added, image.reference.ToString());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (arguments.json) {
    Json result = ImageJson(image);
    result["bytes"] = BlobBytes(image);
    result["seconds"] = seconds;
    return PrintJson(result);
  }
  context.messages.Line(absl::StrFormat("%s: %d layers, %s, in the cache in %.2f s", image.reference.ToString(),
                                        image.layers.size(), FormatBytes(BlobBytes(image)), seconds));
  return absl::OkStatus();
}

absl::Status List(const CacheArguments& arguments) {
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobCache> cache, Open(arguments));
  ASSIGN_OR_RETURN(const std::vector<CachedBlob> blobs, cache->List());
  Json result = {{"schema", kSchema}, {"path", cache->path()}, {"bytes", 0}, {"blobs", Json::array()}};
  std::string text;
  int64_t total = 0;
  for (const CachedBlob& blob : blobs) {
    total += blob.bytes;
    const std::string used = absl::FormatTime(absl::RFC3339_sec, blob.used_at, absl::UTCTimeZone());
    result["blobs"].push_back(
        {{"digest", blob.digest.ToString()}, {"bytes", blob.bytes}, {"usedAt", used}, {"complete", blob.complete}});
    absl::StrAppendFormat(&text, "%s  %10s  %s%s\n", blob.digest.ToString(), FormatBytes(blob.bytes), used,
                          blob.complete ? "" : "  interrupted");
  }
  result["bytes"] = total;
  if (arguments.json) return PrintJson(result);
  absl::StrAppend(&text, blobs.size(), " blobs, ", FormatBytes(total), " in ", cache->path(), "\n");
  return PrintResult(text);
}

absl::Status Prune(const CacheArguments& arguments, const VerbContext& context) {
  int64_t max_bytes = 0;
  if (!arguments.max_bytes.empty()) {
    ASSIGN_OR_RETURN(max_bytes, ParseByteSize(arguments.max_bytes));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobCache> cache, Open(arguments));
  ASSIGN_OR_RETURN(const int64_t freed, cache->Prune(max_bytes));
  if (arguments.json) return PrintJson({{"schema", kSchema}, {"path", cache->path()}, {"freedBytes", freed}});
  context.messages.Line(absl::StrCat(FormatBytes(freed), " freed in ", cache->path()));
  return absl::OkStatus();
}

CLI::Validator IsByteSize() {
  return CLI::Validator(
      [](std::string& text) {
        const absl::StatusOr<int64_t> bytes = ParseByteSize(text);
        return bytes.ok() ? std::string() : absl::StrCat(text, ": ", bytes.status().message());
      },
      "SIZE");
}

void AddCacheOption(CLI::App& verb, CacheArguments& arguments) {
  verb.add_option("--cache", arguments.cache, "its directory; by default root's is the daemon's")
      ->type_name("DIR")
      ->check(IsGiven());
  verb.add_flag("--json", arguments.json, "one JSON object instead of text");
}

}  // namespace

void AddCacheVerb(CLI::App& app, VerbRun& run) {
  const auto arguments = std::make_shared<CacheArguments>();
  CLI::App* verb = app.add_subcommand("cache", "The blobs of remote registries that are kept on this host");
  verb->require_subcommand(1);

  CLI::App* add = verb->add_subcommand("add", "Put an image into the cache, from wherever it can be had");
  AddImageArguments(*add, arguments->image);
  add->add_flag("--json", arguments->json, "one JSON object instead of text");
  add->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Add(*arguments, context); }; });

  CLI::App* ls = verb->add_subcommand("ls", "List what is in the cache, least recently used first");
  AddCacheOption(*ls, *arguments);
  ls->callback([arguments, &run] { run = [arguments](const VerbContext&) { return List(*arguments); }; });

  CLI::App* prune = verb->add_subcommand("prune", "Evict, least recently used first; what is being read stays");
  AddCacheOption(*prune, *arguments);
  prune->add_option("--max-bytes", arguments->max_bytes, "what may be left; without it nothing is")
      ->type_name("SIZE")
      ->check(IsByteSize());
  prune->callback(
      [arguments, &run] { run = [arguments](const VerbContext& context) { return Prune(*arguments, context); }; });
}

}  // namespace sluice
