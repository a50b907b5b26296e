#include "snapshotter/service/mangled_key.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "snapshotter/snapshot.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {

// The input: a namespace, a NUL, a key.
SLUICE_FUZZ_TARGET(input) {
  const std::vector<std::string> words = SplitInput(input, 2);
  const std::string& name = words.front();
  const std::string& key = words.back();
  const absl::Status status = CheckKeyNamespace(key, name);
  ExpectGoodMessage(status);
  EXPECT_EQ(CheckKeyNamespace(key, name), status);
  // What containerd makes of any key in any namespace is of that namespace and of no other.
  if (name.empty() || name.find('/') != std::string::npos) return;
  const std::string mangled = absl::StrCat(name, "/17/", key);
  EXPECT_TRUE(CheckKeyNamespace(mangled, name).ok());
  EXPECT_EQ(NamespaceOfKey(mangled), name);
  EXPECT_FALSE(CheckKeyNamespace(mangled, name + "x").ok());
}

}  // namespace sluice::testing
