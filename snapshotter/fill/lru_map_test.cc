#include "snapshotter/fill/lru_map.h"

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(LruMapTest, ForgetsWhatWasNotUsedForLongest) {
  LruMap<int, int> map(2);
  map.Insert(1, 10);
  map.Insert(2, 20);
  ASSERT_NE(map.Find(1), nullptr);
  map.Insert(3, 30);
  EXPECT_EQ(map.Find(2), nullptr);
  EXPECT_EQ(*map.Find(1), 10);
  map.Insert(1, 11);
  EXPECT_EQ(*map.Find(1), 11);
  EXPECT_EQ(*map.Find(3), 30);
}

TEST(LruMapTest, CountsWeights) {
  LruMap<int, int> map(10);
  map.Insert(1, 10, 4);
  map.Insert(2, 20, 6);
  ASSERT_NE(map.Find(1), nullptr);
  map.Insert(1, 11, 5);
  EXPECT_EQ(map.Find(2), nullptr);
  EXPECT_EQ(*map.Find(1), 11);
  map.Insert(3, 30, 5);
  EXPECT_EQ(*map.Find(1), 11);
  map.Insert(4, 40, 11);
  for (int key = 1; key <= 4; ++key) EXPECT_EQ(map.Find(key), nullptr) << key;
  map.Insert(5, 50, 10);
  EXPECT_EQ(*map.Find(5), 50);
}

}  // namespace
}  // namespace sluice
