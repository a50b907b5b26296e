// How far the layers of an image are, on stderr, in the style that --progress asks for: a bar, a line a layer, JSON
// events, or nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/mutex.h"
#include "cmd/messages.h"
#include "registry/image_source.h"

namespace sluice {

// Declares --progress; `style` is borrowed, outlives the parsing, and is "auto" by default. "json" is also what makes
// main give the verb Messages of that form.
void AddProgressOption(CLI::App& verb, std::string& style);

// Thread-safe. What is shown is what was read of the blobs: a layer is complete a moment later.
class Progress {
 public:
  // `style`: "auto" (a bar on a terminal, else nothing), "bar", "plain", "json", "none". `image` and `messages` are
  // borrowed.
  static std::unique_ptr<Progress> Create(const std::string& style, const ResolvedImage& image,
                                          const Messages& messages);
  virtual ~Progress() = default;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Layer `layer` (0 is the base) begins, or begins anew.
  void Open(size_t layer, const LayerOrigin& origin);
  // `bytes` more of its blob.
  void Add(size_t layer, int64_t bytes);

 protected:
  using Clock = std::chrono::steady_clock;
  struct Layer {
    LayerOrigin origin = {};
    int64_t bytes = 0;
    Clock::time_point shown_at = {};
    bool complete = false;  // as many bytes as its descriptor says
  };

  Progress(const ResolvedImage& image, const Messages& messages);

  const ResolvedImage& image() const { return image_; }
  const Messages& messages() const { return messages_; }

 private:
  // Called one at a time.
  virtual void ShowOpen(size_t layer, Layer& state) = 0;
  virtual void ShowAdd(size_t layer, int64_t bytes, Layer& state) = 0;

  const ResolvedImage& image_;
  const Messages& messages_;
  Mutex mutex_;
  std::vector<Layer> layers_ SLUICE_GUARDED_BY(mutex_);
};

}  // namespace sluice
