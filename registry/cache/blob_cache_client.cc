// A process that uses a blob cache, for tests that need several, or that kill one.
//
//   blob_cache_client download CACHE SEED SIZE [STOP]   a download of MakeBlob(SEED, SIZE), which the program has
//                                                       itself; at offset STOP it says "stopped" and waits for its end
//   blob_cache_client read CACHE DIGEST                 opens a blob, says "open", and waits for the end of its input
//   blob_cache_client name CACHE REFERENCE COUNT        names COUNT images, and Prunes in between
//   blob_cache_client limited CACHE SEED SIZE LIMIT     a download, where no file may be longer than LIMIT
//   blob_cache_client churn CACHE SEED SIZE             downloads, follows and drops for ever, each blob SIZE long
//
// Says "fetched <offset>" for each fetch, and "ok" last. Exits with 1, and says the error, if what it reads is
// not what it should be.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "registry/cache/blob_cache.h"
#include "registry/cache/cache_fixture.h"

namespace sluice {
namespace {

using ::sluice::testing::MakeBlob;
using ::sluice::testing::Origin;
using ::sluice::testing::ReadToEnd;

[[noreturn]] void Fail(const absl::Status& status) {
  std::cout << "error: " << status.ToString() << std::endl;
  // Without destructors: a reader that failed may be half way through.
  _exit(1);
}

void Expect(const absl::Status& status) {
  if (!status.ok()) Fail(status);
}

void Say(absl::string_view text) { std::cout << text << std::endl; }

void AwaitEndOfInput() {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

// The bytes from an offset on; waits at one.
class StoppingReader : public ByteReader {
 public:
  StoppingReader(const std::string& content, int64_t offset, int64_t stop)
      : content_(content), offset_(offset), stop_(stop) {}

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    if (offset_ == stop_) {
      Say("stopped");
      AwaitEndOfInput();
    }
    const int64_t size = static_cast<int64_t>(content_.size());
    const int64_t end = stop_ > offset_ ? std::min(stop_, size) : size;
    const size_t count = std::min<size_t>(buffer.size(), end - offset_);
    std::memcpy(buffer.data(), content_.data() + offset_, count);
    offset_ += static_cast<int64_t>(count);
    return count;
  }

 private:
  const std::string& content_;
  int64_t offset_;
  const int64_t stop_;
};

void Download(BlobCache& cache, uint64_t seed, size_t size, int64_t stop) {
  const std::string content = MakeBlob(seed, size);
  const auto fetch = [&content, stop](int64_t offset) {
    Say(absl::StrCat("fetched ", offset));
    return std::make_unique<StoppingReader>(content, offset, stop);
  };
  auto reader = cache.OpenOrFetch(Digest::Of(content), static_cast<int64_t>(size), fetch, nullptr);
  Expect(reader.status());
  const absl::StatusOr<std::string> read = ReadToEnd(**reader, 16 << 10);
  Expect(read.status());
  if (*read != content) Fail(absl::InternalError("other bytes"));
}

void ReadBlob(BlobCache& cache, const std::string& hex) {
  const Digest digest = Digest::ParseHex(hex).value();
  const auto reader = cache.OpenBlob(digest, std::nullopt);
  Expect(reader.status());
  Say("open");
  AwaitEndOfInput();
  const absl::StatusOr<std::string> read = ReadToEnd(**reader);
  Expect(read.status());
  if (Digest::Of(*read) != digest) Fail(absl::InternalError("other bytes"));
}

void NameImages(BlobCache& cache, const std::string& reference, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string content = absl::StrCat(reference, i);
    Descriptor manifest;
    manifest.media_type = "application/vnd.oci.image.manifest.v1+json";
    manifest.digest = Digest::Of(content);
    manifest.size = static_cast<int64_t>(content.size());
    Expect(cache.WriteDocument(manifest.digest, content));
    Expect(cache.NameImage(absl::StrCat(reference, ":", i), manifest));
    Expect(cache.Prune(int64_t{1} << 40).status());
  }
}

// Eight blobs that all who churn share, so that they meet.
void Churn(BlobCache& cache, uint64_t seed, size_t size) {
  constexpr uint64_t kBlobs = 8;
  for (uint64_t i = seed;; i = i * 6364136223846793005u + 1442695040888963407u) {
    const uint64_t which = (i >> 33) % kBlobs;
    Download(cache, which, size, -1);
    if ((i >> 40) % 2 == 0) Expect(cache.Drop(Digest::Of(MakeBlob(which, size))));
    const std::string document = absl::StrCat("document ", which);
    Expect(cache.WriteDocument(Digest::Of(document), document));
    if ((i >> 41) % 4 == 0) Expect(cache.Prune(static_cast<int64_t>(4 * size)).status());
  }
}

int Run(const std::vector<std::string>& arguments) {
  const std::string& verb = arguments.at(0);
  auto cache = BlobCache::Open(arguments.at(1), {.max_bytes = int64_t{1} << 40});
  Expect(cache.status());
  if (verb == "read") {
    ReadBlob(**cache, arguments.at(2));
  } else if (verb == "name") {
    NameImages(**cache, arguments.at(2), std::stoi(arguments.at(3)));
  } else if (verb == "churn") {
    Churn(**cache, std::stoull(arguments.at(2)), std::stoull(arguments.at(3)));
  } else if (verb == "limited") {
    signal(SIGXFSZ, SIG_IGN);
    const rlim_t limit = std::stoull(arguments.at(4));
    const rlimit limits = {limit, limit};
    if (setrlimit(RLIMIT_FSIZE, &limits) != 0) return 2;
    Download(**cache, std::stoull(arguments.at(2)), std::stoull(arguments.at(3)), -1);
  } else if (verb == "download") {
    const int64_t stop = arguments.size() > 4 ? std::stoll(arguments.at(4)) : -1;
    Download(**cache, std::stoull(arguments.at(2)), std::stoull(arguments.at(3)), stop);
  } else {
    return 2;
  }
  Say("ok");
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Run(std::vector<std::string>(argv + 1, argv + argc)); }
