// What the kubelet asks of containerd's CRI plugin, from the command line: pulls, looks up and removes images as its image
// manager does, and runs a pod of one container.
//
//	cri_client SOCKET pull REF [USER:PASSWORD]     prints the image's id
//	cri_client SOCKET status REF                   prints the image's id and size; exit code 3 if it is not there
//	cri_client SOCKET images                       prints id and references of each
//	cri_client SOCKET fs-info                      prints mountpoint, bytes and inodes of each image file system
//	cri_client SOCKET remove REF
//	cri_client SOCKET run NAME REF CGROUP_PARENT COMMAND...   prints the ids of pod and container, which is running
//	cri_client SOCKET start POD NAME REF COMMAND...   prints the id of a further container in the pod, which is running
//	cri_client SOCKET exec CONTAINER COMMAND...    prints what it says
//	cri_client SOCKET stop POD                     stops and removes it with its containers
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The kubelet's own limit for every call but PullImage, which has none.
const callTimeout = 2 * time.Minute

const exitAbsent = 3

type client struct {
	images  cri.ImageServiceClient
	runtime cri.RuntimeServiceClient
}

func (c client) pull(ref, credentials string) error {
	request := &cri.PullImageRequest{
		Image:         &cri.ImageSpec{Image: ref},
		SandboxConfig: podConfig("puller", ""),
	}
	if credentials != "" {
		user, password, _ := strings.Cut(credentials, ":")
		request.Auth = &cri.AuthConfig{Username: user, Password: password}
	}
	answer, err := c.images.PullImage(context.Background(), request)
	if err != nil {
		return err
	}
	fmt.Println(answer.ImageRef)
	return nil
}

func (c client) status(ctx context.Context, ref string) error {
	answer, err := c.images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: ref}})
	if err != nil {
		return err
	}
	if answer.Image == nil {
		os.Exit(exitAbsent)
	}
	fmt.Println(answer.Image.Id, answer.Image.Size)
	return nil
}

func (c client) list(ctx context.Context) error {
	answer, err := c.images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return err
	}
	for _, image := range answer.Images {
		fmt.Println(image.Id, strings.Join(image.RepoTags, " "))
	}
	return nil
}

func (c client) fsInfo(ctx context.Context) error {
	answer, err := c.images.ImageFsInfo(ctx, &cri.ImageFsInfoRequest{})
	if err != nil {
		return err
	}
	for _, usage := range answer.ImageFilesystems {
		fmt.Println(usage.FsId.GetMountpoint(), usage.UsedBytes.GetValue(), usage.InodesUsed.GetValue())
	}
	return nil
}

func (c client) remove(ctx context.Context, ref string) error {
	_, err := c.images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: ref}})
	return err
}

// On the host's network: a CNI plugin has nothing to do with images.
func podConfig(name, cgroupParent string) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: cgroupParent,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE},
			},
		},
	}
}

func (c client) run(ctx context.Context, name, ref, cgroupParent string, command []string) error {
	config := podConfig(name, cgroupParent)
	pod, err := c.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config})
	if err != nil {
		return err
	}
	container, err := c.startContainer(ctx, pod.PodSandboxId, config, name, ref, command)
	if err != nil {
		return err
	}
	fmt.Println(pod.PodSandboxId, container)
	return nil
}

// start: the kubelet gives the pod's configuration again, of which only log directory and the like matter here.
func (c client) start(ctx context.Context, pod, name, ref string, command []string) error {
	container, err := c.startContainer(ctx, pod, podConfig(name, ""), name, ref, command)
	if err != nil {
		return err
	}
	fmt.Println(container)
	return nil
}

func (c client) startContainer(ctx context.Context, pod string, config *cri.PodSandboxConfig, name, ref string,
	command []string) (string, error) {
	container, err := c.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId:  pod,
		SandboxConfig: config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name},
			Image:    &cri.ImageSpec{Image: ref},
			Command:  command,
			Linux:    &cri.LinuxContainerConfig{},
		},
	})
	if err != nil {
		return "", fmt.Errorf("pod %s: %w", pod, err)
	}
	if _, err := c.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: container.ContainerId}); err != nil {
		return "", fmt.Errorf("pod %s: %w", pod, err)
	}
	return container.ContainerId, nil
}

func (c client) exec(ctx context.Context, container string, command []string) error {
	answer, err := c.runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: container, Cmd: command, Timeout: 60})
	if err != nil {
		return err
	}
	os.Stdout.Write(answer.Stdout)
	os.Stderr.Write(answer.Stderr)
	if answer.ExitCode != 0 {
		return fmt.Errorf("%s: exit code %d", command[0], answer.ExitCode)
	}
	return nil
}

func (c client) stop(ctx context.Context, pod string) error {
	if _, err := c.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod}); err != nil {
		return err
	}
	_, err := c.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod})
	return err
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: cri_client SOCKET pull|status|images|fs-info|remove|run|start|exec|stop ARG...")
	os.Exit(2)
}

// call: the arguments are those after SOCKET.
func call(c client, args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	verb, args := args[0], args[1:]
	least := map[string]int{
		"pull": 1, "status": 1, "images": 0, "fs-info": 0, "remove": 1, "run": 4, "start": 4, "exec": 2, "stop": 1,
	}
	if count, known := least[verb]; !known || len(args) < count {
		usage()
	}
	switch verb {
	case "pull":
		return c.pull(args[0], strings.Join(args[1:], ""))
	case "status":
		return c.status(ctx, args[0])
	case "images":
		return c.list(ctx)
	case "fs-info":
		return c.fsInfo(ctx)
	case "remove":
		return c.remove(ctx, args[0])
	case "run":
		return c.run(ctx, args[0], args[1], args[2], args[3:])
	case "start":
		return c.start(ctx, args[0], args[1], args[2], args[3:])
	case "exec":
		return c.exec(ctx, args[0], args[1:])
	default:
		return c.stop(ctx, args[0])
	}
}

func main() {
	if len(os.Args) < 3 {
		usage()
	}
	connection, err := grpc.NewClient("unix://"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		defer connection.Close()
		err = call(client{cri.NewImageServiceClient(connection), cri.NewRuntimeServiceClient(connection)}, os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cri_client:", err)
		os.Exit(1)
	}
}
