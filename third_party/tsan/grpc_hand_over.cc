// How gRPC hands work from thread to thread, told to TSan.
//
// Debian's libgrpc and libabsl are not instrumented. Their locks are absl::Mutex, made of atomics and futex(2), and
// their queues are lock-free: TSan sees what our callbacks and gRPC's headers touch on either side of a hand-over and
// not the hand-over itself, and reports hundreds of races that are none. The functions below stand before those of the
// libraries (a program's own symbols come first), call them, and say what they order. Races that are ours stay visible,
// which a suppression of all that has gRPC in its stack would hide.
//
// The names are those of Debian 12: libabsl 20220623, libgrpc 1.51. With other versions nothing is found in the way and
// the reports come back.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdint>

namespace {

// The library's own function, which comes next after ours.
template <typename Function>
Function* Next(const char* symbol) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, symbol));
}

// absl::Time, as far as it is passed on.
struct AbslTime {
  int64_t seconds;
  uint32_t quarter_nanoseconds;
};

}  // namespace

extern "C" {

// absl::Mutex: Lock, Unlock, TryLock.
void _ZN4absl7debian35Mutex4LockEv(void* mutex) {
  static auto* const next = Next<void(void*)>("_ZN4absl7debian35Mutex4LockEv");
  next(mutex);
  __tsan_acquire(mutex);
}

void _ZN4absl7debian35Mutex6UnlockEv(void* mutex) {
  static auto* const next = Next<void(void*)>("_ZN4absl7debian35Mutex6UnlockEv");
  __tsan_release(mutex);
  next(mutex);
}

bool _ZN4absl7debian35Mutex7TryLockEv(void* mutex) {
  static auto* const next = Next<bool(void*)>("_ZN4absl7debian35Mutex7TryLockEv");
  if (!next(mutex)) return false;
  __tsan_acquire(mutex);
  return true;
}

// absl::CondVar: Wait, WaitWithDeadline, which unlock and lock the mutex inside the library.
void _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(void* condition, void* mutex) {
  static auto* const next = Next<void(void*, void*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  next(condition, mutex);
  __tsan_acquire(mutex);
}

bool _ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(void* condition, void* mutex, AbslTime time) {
  static auto* const next =
      Next<bool(void*, void*, AbslTime)>("_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = next(condition, mutex, time);
  __tsan_acquire(mutex);
  return timed_out;
}

// grpc_core::MultiProducerSingleConsumerQueue: Push, Pop, PopAndCheckEnd.
bool _ZN9grpc_core32MultiProducerSingleConsumerQueue4PushEPNS0_4NodeE(void* queue, void* node) {
  static auto* const next =
      Next<bool(void*, void*)>("_ZN9grpc_core32MultiProducerSingleConsumerQueue4PushEPNS0_4NodeE");
  __tsan_release(queue);
  return next(queue, node);
}

void* _ZN9grpc_core32MultiProducerSingleConsumerQueue3PopEv(void* queue) {
  static auto* const next = Next<void*(void*)>("_ZN9grpc_core32MultiProducerSingleConsumerQueue3PopEv");
  void* const node = next(queue);
  __tsan_acquire(queue);
  return node;
}

void* _ZN9grpc_core32MultiProducerSingleConsumerQueue14PopAndCheckEndEPb(void* queue, bool* empty) {
  static auto* const next =
      Next<void*(void*, bool*)>("_ZN9grpc_core32MultiProducerSingleConsumerQueue14PopAndCheckEndEPb");
  void* const node = next(queue, empty);
  __tsan_acquire(queue);
  return node;
}

// A call's object is deleted by the last of three counted callbacks; libgrpc++ has its own, uninstrumented copy of the
// counting, so that the order of the other two before it is not seen.
const char* __tsan_default_suppressions() {
  return "race:grpc::internal::CallbackUnaryHandler*CallOnDone\n"
         "race:grpc::internal::CallbackServerStreamingHandler*CallOnDone\n";
}

}  // extern "C"
