#include "snapshotter/service/mangled_key.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace sluice {
namespace {

TEST(MangledKeyTest, TheNamespaceMustAgreeWhereTheKeyHasOne) {
  EXPECT_OK(CheckKeyNamespace("k8s.io/57/extract-1-a sha256:aa", "k8s.io"));
  EXPECT_THAT(CheckKeyNamespace("k8s.io/57/extract-1-a sha256:aa", "default"),
              testing::StatusIs(absl::StatusCode::kInvalidArgument, "default"));
}

TEST(MangledKeyTest, TheMessageIsOneLineWhateverTheKey) {
  EXPECT_THAT(CheckKeyNamespace("a/1/b\nc", "d\ne"), testing::StatusIs(absl::StatusCode::kInvalidArgument, "b\\nc"));
  EXPECT_LT(CheckKeyNamespace("a/1/" + std::string(1 << 20, 'b'), "d").message().size(), 1000u);
}

TEST(MangledKeyTest, DirectClientsKeysSayNothing) {
  for (const char* key : {"", "plain", "/tmp/work/preparing", "a/b/c", "a/1", "/1/c"}) {
    EXPECT_OK(CheckKeyNamespace(key, "testsuite")) << key;
  }
}

}  // namespace
}  // namespace sluice
