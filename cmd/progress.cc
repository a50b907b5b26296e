#include "cmd/progress.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cmd/image_result.h"
#include "cmd/terminal.h"

namespace sluice {
namespace {

// Between two events of one layer.
constexpr std::chrono::milliseconds kEventInterval(100);

class NoProgress : public Progress {
 public:
  NoProgress(const ResolvedImage& image, const Messages& messages) : Progress(image, messages) {}

 private:
  void ShowOpen(size_t, Layer&) override {}
  void ShowAdd(size_t, int64_t, Layer&) override {}
};

class BarProgress : public Progress {
 public:
  BarProgress(const ResolvedImage& image, const Messages& messages)
      : Progress(image, messages), bar_(BlobBytes(image)) {}

 private:
  void ShowOpen(size_t, Layer&) override {}
  void ShowAdd(size_t, int64_t bytes, Layer&) override { bar_.Add(bytes); }

  ProgressBar bar_;
};

class PlainProgress : public Progress {
 public:
  PlainProgress(const ResolvedImage& image, const Messages& messages) : Progress(image, messages) {}

 private:
  void ShowOpen(size_t, Layer&) override {}
  void ShowAdd(size_t layer, int64_t, Layer& state) override {
    if (!state.complete) return;
    messages().Line(absl::StrCat("layer ", layer + 1, " of ", image().layers.size(), ": ",
                                 image().layers[layer].blob.digest.Short(), " ", FormatBytes(state.bytes), " from ",
                                 state.origin.source, " (", state.origin.strategy, ")"));
  }
};

class JsonProgress : public Progress {
 public:
  JsonProgress(const ResolvedImage& image, const Messages& messages) : Progress(image, messages) {
    messages.Event(
        "start",
        {{"reference", image.reference.ToString()}, {"layers", image.layers.size()}, {"total", BlobBytes(image)}});
  }

 private:
  void ShowOpen(size_t layer, Layer& state) override {
    state.shown_at = Clock::now();
    Json event = LayerEvent(layer);
    event["strategy"] = state.origin.strategy;
    event["source"] = state.origin.source;
    messages().Event("layer", std::move(event));
  }
  void ShowAdd(size_t layer, int64_t, Layer& state) override {
    const Clock::time_point now = Clock::now();
    if (!state.complete && now - state.shown_at < kEventInterval) return;
    state.shown_at = now;
    Json event = LayerEvent(layer);
    event["bytes"] = state.bytes;
    messages().Event("progress", std::move(event));
  }
  // A digest may occur twice in an image, a number does not.
  Json LayerEvent(size_t layer) const {
    const Descriptor& blob = image().layers[layer].blob;
    return {{"layer", blob.digest.ToString()}, {"number", layer + 1}, {"total", blob.size}};
  }
};

}  // namespace

void AddProgressOption(CLI::App& verb, std::string& style) {
  verb.add_option("--progress", style,
                  "what stderr shows meanwhile: auto (a bar on a terminal, else nothing), bar, plain (a line a layer), "
                  "json (an object a line, errors too), none (nothing but errors)")
      ->type_name("STYLE")
      ->check(CLI::IsMember({"auto", "bar", "plain", "json", "none"}))
      ->default_val("auto");
}

std::unique_ptr<Progress> Progress::Create(const std::string& style, const ResolvedImage& image,
                                           const Messages& messages) {
  if (style == "json") return std::make_unique<JsonProgress>(image, messages);
  if (style == "plain") return std::make_unique<PlainProgress>(image, messages);
  if (style == "bar" || (style == "auto" && StderrIsTerminal())) return std::make_unique<BarProgress>(image, messages);
  return std::make_unique<NoProgress>(image, messages);
}

Progress::Progress(const ResolvedImage& image, const Messages& messages)
    : image_(image), messages_(messages), layers_(image.layers.size()) {}

void Progress::Open(size_t layer, const LayerOrigin& origin) {
  MutexLock lock(mutex_);
  layers_[layer] = {.origin = origin};
  ShowOpen(layer, layers_[layer]);
}

void Progress::Add(size_t layer, int64_t bytes) {
  MutexLock lock(mutex_);
  Layer& state = layers_[layer];
  state.bytes += bytes;
  state.complete = state.bytes == image_.layers[layer].blob.size;
  if (bytes > 0) ShowAdd(layer, bytes, state);
}

}  // namespace sluice
