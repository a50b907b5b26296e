#include "registry/reference.h"

#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {

SLUICE_FUZZ_TARGET(input) {
  const absl::StatusOr<Reference> reference = ParseReference(input);
  ExpectGoodMessage(reference.status());
  if (!reference.ok()) return;
  EXPECT_FALSE(reference->host.empty());
  EXPECT_TRUE(IsRepository(reference->repository)) << reference->repository;
  EXPECT_TRUE(reference->tag.empty() ? reference->digest.has_value() : IsTag(reference->tag)) << reference->tag;
  // It is used as a path by the stores.
  EXPECT_EQ(reference->repository.find(".."), std::string::npos) << reference->repository;
  EXPECT_NE(reference->repository.front(), '/');

  const std::string text = reference->ToString();
  const absl::StatusOr<Reference> again = ParseReference(text);
  ASSERT_TRUE(again.ok()) << text << ": " << again.status();
  EXPECT_EQ(again->ToString(), text);
  EXPECT_EQ(again->host, reference->host);
  EXPECT_EQ(again->repository, reference->repository);
  EXPECT_EQ(again->tag, reference->tag);
  EXPECT_EQ(again->digest, reference->digest);
}

}  // namespace sluice::testing
