// How long the resolver takes to tell which layer a Prepare is about, beside a containerd of its own with thousands of
// images:
//
//   bazel run --config=opt //tests/bench:resolver_bench -- [IMAGES [REPEATS]]
//
// Needs root, and some 100 MiB in /dev/shm. Prints a Markdown table on stdout: medians, in milliseconds.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "snapshotter/fill/resolver.h"
#include "snapshotter/service/containerd/connection.h"
#include "snapshotter/service/containerd/content_store_client.h"
#include "snapshotter/service/containerd/lease.h"
#include "snapshotter/service/containerd/session.h"
#include "tests/testing/private_containerd.h"
#include "tests/testing/pulled_images.h"

namespace sluice {
namespace {

using testing::MakePulledImage;
using testing::PulledImage;

struct Row {
  const char* name;
  int image;
  size_t layer;
  bool is_pulled;  // under a lease; else nobody says which image is meant
  bool is_known;   // to containerd
};

void CheckOk(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "resolver_bench: " << status.message() << std::endl;
  std::exit(1);
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  explicit Bench(int images) : images_(images) { CheckOk(testing::PullImages(session_, 0, images)); }

  void Print(int repeats) {
    std::cout << "| " << images_ << " images | cold, ms | repeated, ms | next pull, ms |\n|---|---|---|---|"
              << std::endl;
    for (const Row& row :
         {Row{"new image", images_ + 1, 1, true, true},
          Row{"old image that is pulled again", images_ / 2, 1, true, true},
          Row{"base layer of a thousand images, one of them pulled", 333, 0, true, true},
          Row{"the same, without a lease", 333, 0, false, true}, Row{"unknown layer", images_ + 10, 1, false, false}}) {
      Measure(row, repeats);
    }
  }

 private:
  void Measure(const Row& row, int repeats) {
    std::vector<double> cold, repeated, next;
    for (int i = 0; i < repeats; ++i) {
      absl::StatusOr<Lease> lease = Lease::Take(session_);
      CheckOk(lease.status());
      if (row.is_known) CheckOk(testing::FetchDocuments(session_, MakePulledImage(row.image)));
      if (!row.is_pulled) CheckOk(lease->Release());
      Resolver resolver(&store_, {});
      cold.push_back(Time(resolver, row, row.image));
      repeated.push_back(Time(resolver, row, row.image));
      if (row.is_pulled) CheckOk(testing::FetchDocuments(session_, MakePulledImage(kNext)));
      next.push_back(Time(resolver, {row.name, kNext, 1, row.is_pulled, true}, kNext));
    }
    std::cout << absl::StreamFormat("| %s | %.1f | %.3f | %.1f |\n", row.name, Median(cold), Median(repeated),
                                    Median(next))
              << std::flush;
  }

  double Time(Resolver& resolver, const Row& row, int number) {
    const PulledImage image = MakePulledImage(number);
    LayerRequest request;
    request.containerd_namespace = session_.containerd_namespace();
    request.ref = image.chain_ids[row.layer];
    request.has_parent = row.layer > 0;
    if (request.has_parent) request.parent_chain_id = image.chain_ids[row.layer - 1];
    const absl::Time start = absl::Now();
    const absl::StatusOr<Plan> plan = resolver.Resolve(request);
    const double milliseconds = absl::ToDoubleMilliseconds(absl::Now() - start);
    // Without a lease the answer is the best that could be had in time.
    if (row.is_pulled) {
      CheckOk(plan.status());
      if (plan->layers.back().chain_id != image.chain_ids.back()) {
        CheckOk(absl::InternalError(absl::StrCat(row.name, ": took ", plan->image, " for ", image.name)));
      }
    }
    return milliseconds;
  }

  static constexpr int kNext = 77;
  const int images_;
  testing::PrivateContainerd containerd_{"", testing::TempDir::Place::kMemory};
  std::shared_ptr<grpc::Channel> channel_ = OpenContainerdChannel(containerd_.socket_path());
  Cancellation cancellation_;
  ContainerdSession session_{channel_, "default", cancellation_};
  ContentStoreClient store_{channel_};
};

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  int images = 5000;
  int repeats = 9;
  const bool understood = argc <= 3 && (argc < 2 || absl::SimpleAtoi(argv[1], &images)) &&
                          (argc < 3 || absl::SimpleAtoi(argv[2], &repeats)) && images >= 1000 && repeats >= 1;
  if (!understood) {
    std::cerr << "usage: resolver_bench [IMAGES, at least 1000 [REPEATS]]" << std::endl;
    return 2;
  }
  sluice::Bench(images).Print(repeats);
}
