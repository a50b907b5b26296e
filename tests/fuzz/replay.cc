// NAME_replay DIRECTORY: gives the fuzz target each file of its corpus once, as a test named by the file.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/fuzzing.h"

namespace sluice::testing {
namespace {

class ReplayTest : public ::testing::Test {
 public:
  explicit ReplayTest(std::filesystem::path file) : file_(std::move(file)) {}

  void TestBody() override {
    std::ifstream stream(file_, std::ios::binary);
    const std::string input((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    ASSERT_FALSE(stream.bad() || !stream.is_open()) << file_;
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  }

 private:
  const std::filesystem::path file_;
};

// How many there are.
size_t RegisterFiles(const std::filesystem::path& corpus) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    ::testing::RegisterTest(corpus.filename().c_str(), file.filename().c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [file]() -> ::testing::Test* { return new ReplayTest(file); });
  }
  return files.size();
}

}  // namespace
}  // namespace sluice::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " CORPUS_DIRECTORY\n";
    return 2;
  }
  if (sluice::testing::RegisterFiles(argv[1]) == 0) {
    std::cerr << argv[1] << ": no corpus, so nothing would be tested\n";
    return 1;
  }
  return RUN_ALL_TESTS();
}
