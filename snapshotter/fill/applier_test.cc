#include "snapshotter/fill/applier.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "snapshotter/fill/applier_fixture.h"
#include "snapshotter/fill/filler_fixture.h"
#include "tests/testing/compress.h"
#include "tests/testing/overlay_mount.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tar_builder.h"
#include "tests/testing/tree_listing.h"

namespace {

std::atomic<int> g_syncs{0};

}  // namespace

// Before the C library's, which does the same: a test can't lose power, but it can see who calls.
extern "C" int syncfs(int fd) noexcept {
  ++g_syncs;
  return static_cast<int>(syscall(SYS_syncfs, fd));
}

namespace sluice::testing {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Mounts = std::vector<Mount>;

std::string SmallTar() { return TarBuilder().Directory("d").File("d/f", "text").Build(); }

class ApplierTest : public ::testing::Test {
 protected:
  Mounts Prepare(const std::string& key, const std::string& parent = "") {
    absl::StatusOr<Mounts> mounts = applier_.snapshotter().Prepare(key, parent);
    EXPECT_OK(mounts);
    return mounts.ok() ? *mounts : Mounts();
  }
  // Applies a layer and commits it as `name`.
  void MakeCommitted(const std::string& name, const std::string& parent, const std::string& tar) {
    ASSERT_OK(applier_.Apply(Gzip(tar), Prepare("making " + name, parent)));
    ASSERT_OK(applier_.snapshotter()->Commit("sluice", name, "making " + name, {}));
  }
  // The snapshot is as Prepare made it, and nothing lies about.
  void ExpectUntouched(const Mounts& mounts) {
    EXPECT_THAT(LinesOf(applier_.Directory(mounts)), IsEmpty());
    EXPECT_EQ(applier_.leftovers(), 0);
  }

  ApplierFixture applier_;
};

TEST_F(ApplierTest, AppliesABaseLayerAndTellsOfTheWholeStream) {
  // In a first layer there is nothing to hide: not even a mark is left.
  const std::string tar = TarBuilder()
                              .Directory("d", {.mode = 0750, .uid = 7})
                              .File("d/f", "text", {.mode = 04755, .xattrs = {{"user.a", "b"}}})
                              .Symlink("l", "d/f")
                              .Whiteout("d/gone")
                              .Opaque("d")
                              .Build() +
                          "bytes after the end of the archive";
  const Mounts mounts = Prepare("key");
  ASSERT_OK_AND_ASSIGN(const AppliedLayer applied, applier_.Apply(Gzip(tar), mounts));
  EXPECT_EQ(applied.diff_id, Digest::Of(tar));
  EXPECT_EQ(applied.tar_bytes, static_cast<int64_t>(tar.size()));
  EXPECT_THAT(LinesOf(mounts[0].source),
              ElementsAre("d d0750 7:0", R"(d/f -4755 "text" user.a="b")", "l l0777 -> d/f"));
  EXPECT_EQ(applier_.leftovers(), 0);
  EXPECT_TRUE(std::filesystem::exists(applier_.snapshotter().Path("snapshots/1/work")));
  ASSERT_OK(applier_.snapshotter()->Commit("sluice", "name", "key", {}));
}

TEST_F(ApplierTest, SettlesALayerAgainstItsParents) {
  MakeCommitted("one", "",
                TarBuilder()
                    .Directory("usr", {.mode = 0711})
                    .Directory("usr/bin", {.uid = 3})
                    .File("usr/bin/tool", "tool")
                    .Symlink("bin", "usr/bin")
                    .Directory("old")
                    .File("old/file", "old")
                    .File("dead")
                    .Build());
  MakeCommitted("two", "one", TarBuilder().File("bin/new", "new").HardLink("copy", "usr/bin/tool").Build());
  MakeCommitted("three", "two", TarBuilder().Whiteout("dead").Whiteout("never").Opaque("old").Build());

  ASSERT_OK_AND_ASSIGN(const Mounts view, applier_.snapshotter()->View({"sluice", "view", "three", {}}));
  const std::string lower = view[0].options.back().substr(std::string("lowerdir=").size());
  const std::vector<std::string> lowers = absl::StrSplit(lower, ':');
  ASSERT_THAT(lowers, SizeIs(3));
  ASSERT_OK_AND_ASSIGN(const auto mount, OverlayMount::Create(lowers));
  EXPECT_THAT(LinesOf(mount->path()),
              ElementsAre("bin l0777 -> usr/bin", R"(copy -0644 "tool")", "old d0755", "usr d0711", "usr/bin d0755 3:0",
                          R"(usr/bin/new -0644 "new")", R"(usr/bin/tool -0644 "tool" =copy)"));
  // Only what hides something is marked.
  EXPECT_THAT(LinesOf(lowers[0]), ElementsAre(StartsWith("dead c0000 "), R"(old d0755 trusted.overlay.opaque="y")"));
}

TEST_F(ApplierTest, TakesEveryMediaTypeOfATarLayer) {
  const std::string tar = SmallTar();
  const struct {
    const char* media_type;
    std::string blob;
  } cases[] = {
      {"application/vnd.oci.image.layer.v1.tar", tar},
      {"application/vnd.oci.image.layer.v1.tar+gzip", Gzip(tar)},
      {"application/vnd.oci.image.layer.v1.tar+zstd", Zstd(tar)},
      {"application/vnd.docker.image.rootfs.diff.tar", tar},
      {"application/vnd.docker.image.rootfs.diff.tar.gzip", Gzip(tar)},
      {"application/vnd.docker.image.rootfs.diff.tar.zstd", Zstd(tar)},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Gzip(tar)},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Gzip(tar)},
      // What the blob is, it says itself.
      {"application/vnd.oci.image.layer.v1.tar+gzip", Zstd(tar)},
  };
  int number = 0;
  for (const auto& [media_type, blob] : cases) {
    const Mounts mounts = Prepare(absl::StrCat("key", ++number));
    ApplyRequest request = ApplierFixture::Request(applier_.blobs().Put(blob), mounts);
    request.media_type = media_type;
    // As every client with a decryption configuration gives them.
    request.processors = {"io.containerd.ocicrypt.decoder.v1.tar", "io.containerd.ocicrypt.decoder.v1.tar.gzip"};
    ASSERT_OK_AND_ASSIGN(const AppliedLayer applied, applier_.Apply(request));
    EXPECT_EQ(applied.diff_id, Digest::Of(tar)) << media_type;
    EXPECT_THAT(LinesOf(mounts[0].source), ElementsAre("d d0755", R"(d/f -0644 "text")")) << media_type;
  }
}

TEST_F(ApplierTest, LeavesToOthersWhatIsTheirs) {
  const std::string blob = Gzip(SmallTar());
  const Mounts mounts = Prepare("key");
  const ApplyRequest good = ApplierFixture::Request(applier_.blobs().Put(blob), mounts);
  const struct {
    const char* words;
    std::function<void(ApplyRequest&)> change;
  } cases[] = {
      {"mounts are not of this snapshotter", [](auto& request) { request.mounts[0].source = "/var/lib/other/1/fs"; }},
      {"mounts are not of this snapshotter", [](auto& request) { request.mounts.clear(); }},
      {"not those of an active snapshot", [&](auto& request) { request.mounts[0].options[0] = "ro"; }},
      {"media type application/vnd.oci.image.layer.v1.tar+gzip+encrypted: is not a tar layer",
       [](auto& request) { request.media_type += "+encrypted"; }},
      {"media type : is not", [](auto& request) { request.media_type.clear(); }},
      {R"(media type a\nb: is not)", [](auto& request) { request.media_type = "a\nb"; }},
      {"digest sha512:00: is not", [](auto& request) { request.digest = "sha512:00"; }},
      {"stream processor io.example.squash: is not known",
       [](auto& request) {
         request.processors = {"io.containerd.ocicrypt.x", "io.example.squash"};
       }},
  };
  for (const auto& [words, change] : cases) {
    ApplyRequest request = good;
    change(request);
    EXPECT_THAT(applier_.Apply(request), StatusIs(StatusCode::kUnimplemented, words));
  }
  EXPECT_EQ(applier_.blobs().opened(), 0) << "containerd was asked";
  ExpectUntouched(mounts);
  EXPECT_OK(applier_.Apply(good));
}

TEST_F(ApplierTest, ABadLayerLeavesTheSnapshotAsItWas) {
  const std::string tar = TarBuilder().Directory("d").File("d/f", std::string(100'000, 'x')).Build();
  const std::string good = Gzip(tar);
  std::string flipped = good;
  flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 1);
  const Digest digest = Digest::Of(good);
  const std::string name = "layer " + digest.Short();
  const int64_t size = static_cast<int64_t>(good.size());
  const struct {
    const char* what;
    std::string blob;  // what the store has under `digest`
    int64_t size;
    StatusCode code;
    std::string words;
  } cases[] = {
      {"another blob", Gzip(SmallTar()), 0, StatusCode::kDataLoss, name},
      {"a flipped bit", flipped, size, StatusCode::kDataLoss, name},
      {"cut off", good.substr(0, good.size() / 2), size, StatusCode::kDataLoss, name},
      {"one byte more", good + "x", size, StatusCode::kDataLoss, name},
      {"empty", "", size, StatusCode::kDataLoss, name},
      {"a size too small", good, size - 1, StatusCode::kDataLoss, name},
      {"a size too large", good, size + 1, StatusCode::kDataLoss, name},
      {"a negative size", good, -1, StatusCode::kInvalidArgument, name},
  };
  const Mounts mounts = Prepare("key");
  for (const auto& bad : cases) {
    applier_.blobs().PutAs(digest, bad.blob);
    EXPECT_THAT(applier_.Apply(ApplierFixture::Request(digest, mounts, bad.size)), StatusIs(bad.code, bad.words))
        << bad.what;
    ExpectUntouched(mounts);
  }
  EXPECT_THAT(applier_.Apply(TarBuilder().File("f", std::string(2000, 'x')).Take().substr(0, 1500), mounts),
              StatusIs(StatusCode::kInvalidArgument, "entry f"));
  EXPECT_THAT(applier_.Apply(TarBuilder().HardLink("h", "/etc/passwd").Build(), mounts),
              StatusIs(StatusCode::kInvalidArgument, "entry h"));
  ExpectUntouched(mounts);
  ApplyRequest request = ApplierFixture::Request(digest, mounts);
  request.digest = "sha256:00";
  EXPECT_THAT(applier_.Apply(request), StatusIs(StatusCode::kInvalidArgument, "sha256:00"));
  applier_.blobs().Clear();
  EXPECT_THAT(applier_.Apply(ApplierFixture::Request(digest, mounts)), StatusIs(StatusCode::kNotFound, name));
  ExpectUntouched(mounts);
  EXPECT_OK(applier_.Apply(good, mounts));
}

TEST_F(ApplierTest, HoldsALayerToItsLimits) {
  Applier::Options options;
  options.limits.max_unpacked_bytes = 1000;
  options.limits.max_zstd_window_bytes = 1 << 20;
  applier_.Stop();
  applier_.Start(options);
  const Mounts mounts = Prepare("key");
  const std::string bomb = TarBuilder().File("bomb", std::string(size_t{16} << 20, '\0')).Build();
  EXPECT_THAT(applier_.Apply(Gzip(bomb), mounts), StatusIs(StatusCode::kInvalidArgument, "entry bomb"));
  // containerd's own differ has no such limit.
  EXPECT_THAT(applier_.Apply(Zstd(bomb, {.window_log = 24}), mounts), StatusIs(StatusCode::kUnimplemented, "window"));
  ExpectUntouched(mounts);
}

TEST_F(ApplierTest, ASnapshotThatSomebodyWroteIntoIsLeftToOthers) {
  const Mounts mounts = Prepare("key");
  std::ofstream(mounts[0].source + "/written") << "1";
  EXPECT_THAT(applier_.Apply(Gzip(SmallTar()), mounts),
              StatusIs(StatusCode::kUnimplemented, "apply: snapshot key: is not empty"));
  EXPECT_THAT(LinesOf(mounts[0].source), SizeIs(1));
  EXPECT_EQ(applier_.blobs().opened(), 0);
}

TEST_F(ApplierTest, WithoutANamespaceThatOfTheKeyCounts) {
  const Digest digest = applier_.blobs().Put(Gzip(SmallTar()));
  ApplyRequest request = ApplierFixture::Request(digest, Prepare("elsewhere/1/key"));
  request.containerd_namespace.clear();
  EXPECT_THAT(applier_.Apply(request), StatusIs(StatusCode::kNotFound));
  request.mounts = Prepare("default/2/extract-1 sha256:aa");
  EXPECT_OK(applier_.Apply(request));
}

TEST_F(ApplierTest, ACallerThatGoesAwayLeavesNothing) {
  const Mounts mounts = Prepare("key");
  const Digest digest = applier_.blobs().Put(Gzip(SmallTar()));
  applier_.blobs().StopAfter(20);
  const auto cancellation = std::make_shared<Cancellation>();
  ApplyResult result;
  applier_->Apply(ApplierFixture::Request(digest, mounts), cancellation, result.Callback());
  applier_.blobs().AwaitStopped(1);
  EXPECT_EQ(applier_.leftovers(), 1);
  cancellation->Cancel();
  EXPECT_THAT(result.Wait(), StatusIs(StatusCode::kCancelled));
  ExpectUntouched(mounts);
  applier_.blobs().Release();
  EXPECT_OK(applier_.Apply(ApplierFixture::Request(digest, mounts)));
  EXPECT_EQ(result.answers(), 1);
}

TEST_F(ApplierTest, ASnapshotThatIsRemovedMeanwhileGetsNothing) {
  const Mounts mounts = Prepare("key");
  applier_.blobs().StopAfter(20);
  ApplyResult result;
  applier_->Apply(ApplierFixture::Request(applier_.blobs().Put(Gzip(SmallTar())), mounts),
                  std::make_shared<Cancellation>(), result.Callback());
  applier_.blobs().AwaitStopped(1);
  ASSERT_OK(applier_.snapshotter()->Remove("sluice", "key"));
  applier_.blobs().Release();
  EXPECT_FALSE(result.Wait().ok());
  EXPECT_EQ(applier_.leftovers(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(applier_.snapshotter().Path("snapshots")));
}

TEST_F(ApplierTest, OfTwoAtOnceOneWins) {
  const Mounts mounts = Prepare("key");
  const Digest digest = applier_.blobs().Put(Gzip(SmallTar()));
  applier_.blobs().StopAfter(20);
  ApplyResult results[2];
  for (ApplyResult& result : results) {
    applier_->Apply(ApplierFixture::Request(digest, mounts), std::make_shared<Cancellation>(), result.Callback());
  }
  applier_.blobs().AwaitStopped(2);
  applier_.blobs().Release();
  const bool first = results[0].Wait().ok();
  EXPECT_OK(results[first ? 0 : 1].Wait());
  EXPECT_THAT(results[first ? 1 : 0].Wait(), StatusIs(StatusCode::kFailedPrecondition, "is not empty"));
  EXPECT_THAT(LinesOf(mounts[0].source), ElementsAre("d d0755", R"(d/f -0644 "text")"));
  EXPECT_EQ(applier_.leftovers(), 0);
}

TEST_F(ApplierTest, WhatIsNotOursNeverWaitsForAWorker) {
  applier_.Stop();
  applier_.Start({.workers = 1});
  const Digest digest = applier_.blobs().Put(Gzip(SmallTar()));
  applier_.blobs().StopAfter(20);
  ApplyResult busy;
  applier_->Apply(ApplierFixture::Request(digest, Prepare("key")), std::make_shared<Cancellation>(), busy.Callback());
  applier_.blobs().AwaitStopped(1);
  const Mount stale = {"bind", applier_.snapshotter().Path("snapshots/99/fs"), {"rw", "rbind"}};
  EXPECT_THAT(applier_.Apply(ApplierFixture::Request(digest, {stale})), StatusIs(StatusCode::kUnimplemented));
  EXPECT_EQ(busy.answers(), 0);
  applier_.blobs().Release();
  EXPECT_OK(busy.Wait());
}

TEST_F(ApplierTest, ShutdownEndsWhatIsUnderWay) {
  const Mounts mounts = Prepare("key");
  const Digest digest = applier_.blobs().Put(Gzip(SmallTar()));
  applier_.blobs().StopAfter(20);
  ApplyResult running;
  applier_->Apply(ApplierFixture::Request(digest, mounts), std::make_shared<Cancellation>(), running.Callback());
  applier_.blobs().AwaitStopped(1);
  applier_->Shutdown();
  EXPECT_THAT(running.Wait(), StatusIs(StatusCode::kUnavailable, "shutting down"));
  EXPECT_THAT(applier_.Apply(ApplierFixture::Request(digest, mounts)), StatusIs(StatusCode::kUnavailable));
  ExpectUntouched(mounts);
}

TEST_F(ApplierTest, SyncsWhenItIsAskedTo) {
  const Digest digest = applier_.blobs().Put(Gzip(SmallTar()));
  const auto syncs = [&](const std::string& key, bool sync_fs) {
    const int before = g_syncs;
    ApplyRequest request = ApplierFixture::Request(digest, Prepare(key));
    request.sync_fs = sync_fs;
    EXPECT_OK(applier_.Apply(request));
    return g_syncs - before;
  };
  EXPECT_EQ(syncs("a", false), 0);
  EXPECT_EQ(syncs("b", true), 1);
  applier_.Stop();
  applier_.Start({.always_sync = true});
  EXPECT_EQ(syncs("c", false), 1);
}

TEST_F(ApplierTest, SaysInOneLineWhatWasNotApplied) {
  LogCapture log;
  const Mounts mounts = Prepare("key");
  EXPECT_FALSE(applier_.Apply(TarBuilder().HardLink("h", "missing").Build(), mounts).ok());
  EXPECT_THAT(log.Containing("applied"), ElementsAre(StartsWith("WARNING not applied: layer sha256:")));
  // What is left to others is no news.
  ApplyRequest request = ApplierFixture::Request(Digest::Of("x"), mounts);
  request.mounts[0].options[0] = "ro";
  EXPECT_FALSE(applier_.Apply(request).ok());
  EXPECT_THAT(log.Containing("applied"), SizeIs(1));
}

TEST_F(ApplierTest, SaysInOneLineWhatWasApplied) {
  LogCapture log;
  const std::string blob = Gzip(SmallTar());
  ASSERT_OK(applier_.Apply(blob, Prepare("key")));
  EXPECT_THAT(log.Containing("applied"),
              ElementsAre(MatchesRegex(absl::StrCat("INFO applied digest=", Digest::Of(blob).ToString(),
                                                    " bytes=", blob.size(), R"( seconds=[0-9.]+ MB/s=[0-9.]+)"))));
}

}  // namespace
}  // namespace sluice::testing
