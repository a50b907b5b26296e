#include "snapshotter/service/containerd/image_client.h"

#include "absl/strings/str_cat.h"
#include "containerd/services/images/v1/images.grpc.pb.h"
#include "snapshotter/service/containerd/connection.h"

namespace sluice {
namespace {

namespace images_v1 = containerd::services::images::v1;

}  // namespace

absl::Status PutImage(ContainerdSession& session, const std::string& name, const Descriptor& target) {
  const auto images = images_v1::Images::NewStub(session.channel());
  images_v1::Image image;
  image.set_name(name);
  image.mutable_target()->set_media_type(target.media_type);
  image.mutable_target()->set_digest(target.digest.ToString());
  image.mutable_target()->set_size(target.size);

  const std::string operation = absl::StrCat("name image ", name);
  // Between the two calls somebody may remove or make the record: then the other call is right again.
  for (int attempt = 0; attempt < 3; ++attempt) {
    images_v1::CreateImageRequest create;
    *create.mutable_image() = image;
    images_v1::CreateImageResponse created;
    ContainerdCall create_call(session);
    grpc::Status status = images->Create(create_call.context(), create, &created);
    if (status.error_code() != grpc::StatusCode::ALREADY_EXISTS) return FromGrpcStatus(status, operation);

    images_v1::UpdateImageRequest update;
    *update.mutable_image() = image;
    images_v1::UpdateImageResponse updated;
    // Labels that others have put there stay.
    update.mutable_update_mask()->add_paths("target");
    ContainerdCall update_call(session);
    status = images->Update(update_call.context(), update, &updated);
    if (status.error_code() != grpc::StatusCode::NOT_FOUND) return FromGrpcStatus(status, operation);
  }
  return absl::UnavailableError(absl::StrCat("containerd: ", operation, ": it is being made and removed by others"));
}

absl::Status RemoveImage(ContainerdSession& session, const std::string& name) {
  const auto images = images_v1::Images::NewStub(session.channel());
  images_v1::DeleteImageRequest request;
  request.set_name(name);
  request.set_sync(true);
  google::protobuf::Empty response;
  ContainerdCall call(session);
  const grpc::Status status = images->Delete(call.context(), request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return absl::OkStatus();
  return FromGrpcStatus(status, absl::StrCat("remove image ", name));
}

}  // namespace sluice
