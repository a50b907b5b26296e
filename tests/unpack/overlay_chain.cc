#include "tests/unpack/overlay_chain.h"

#include <vector>

#include "base/status_macros.h"
#include "tests/unpack/guarded_root.h"
#include "unpack/overlay_unpacker.h"

namespace sluice::testing {

class OverlayChain::Impl {
 public:
  absl::StatusOr<UnpackedLayer> Add(const LayerSource& source, const UnpackOptions& options) {
    std::vector<int> parents;
    for (auto root = roots_.rbegin(); root != roots_.rend(); ++root) parents.push_back((*root)->fd());
    roots_.push_back(std::make_unique<GuardedRoot>());
    OverlayUnpacker unpacker(roots_.back()->fd(), options);
    RETURN_IF_ERROR(unpacker.Stream(source));
    return unpacker.Finish(parents);
  }
  const std::vector<std::unique_ptr<GuardedRoot>>& roots() const { return roots_; }

 private:
  std::vector<std::unique_ptr<GuardedRoot>> roots_;
};

OverlayChain::OverlayChain() : impl_(std::make_unique<Impl>()) {}
OverlayChain::~OverlayChain() = default;

absl::StatusOr<UnpackedLayer> OverlayChain::Add(const LayerSource& source, const UnpackOptions& options) {
  return impl_->Add(source, options);
}

absl::StatusOr<std::unique_ptr<OverlayMount>> OverlayChain::Mount(size_t count) const {
  std::vector<std::string> lowers;
  for (size_t i = count; i > 0; --i) lowers.push_back(directory(i - 1));
  return OverlayMount::Create(lowers);
}

const std::string& OverlayChain::directory(size_t layer) const { return impl_->roots()[layer]->path(); }

size_t OverlayChain::size() const { return impl_->roots().size(); }

void OverlayChain::ExpectNothingOutsideTouched() const {
  for (const auto& root : impl_->roots()) root->ExpectNothingOutsideTouched();
}

}  // namespace sluice::testing
