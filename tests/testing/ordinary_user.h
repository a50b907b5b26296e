// A test that runs as root, for a while as somebody whom the kernel gives no privilege.
#pragma once

#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>

namespace sluice::testing {

// "nobody", with no supplementary group. For the whole process: one at a time, while no other thread changes users.
class OrdinaryUser {
 public:
  static constexpr uid_t kUid = 65534;
  static constexpr gid_t kGid = 65533;  // another number, so that the two can't be taken for each other

  // For a child process that won't be root again. False if it can't be.
  static bool BecomeForGood() {
    return ::setgroups(0, nullptr) == 0 && ::setresgid(kGid, kGid, kGid) == 0 && ::setresuid(kUid, kUid, kUid) == 0;
  }

  OrdinaryUser() {
    if (::setgroups(0, nullptr) != 0 || ::setegid(kGid) != 0 || ::seteuid(kUid) != 0) std::abort();
  }
  ~OrdinaryUser() {
    if (::seteuid(0) != 0 || ::setegid(0) != 0) std::abort();
  }
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;
};

}  // namespace sluice::testing
